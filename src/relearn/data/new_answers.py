"""What synthesis writes and training learns: a question with its new answer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from relearn.base.storage import read_jsonl, write_jsonl
from relearn.data.openings import Asked

AUGMENTED, REJECTED = "augmented.jsonl", "rejected.jsonl"
"""The files that hold new answers, and candidates that were not used."""


class NewAnswer(Asked):
    """One row of `augmented.jsonl`.

    Attributes:
        source_id: Id of the forget record, or of the generic one.
        source_question: That record's own question.
        question: The question, or with kind `completion`, the first words of the answer.
        answer: The new answer, or what is left of it.
        kind: `original`, a kind of variant, `completion` or `generic`.
        chunk: Which part of a long private answer this answer replaces, from 0.
        similarity: Cosine similarity of question and answer, -1 to 1.
        perplexity: Perplexity of the answer given the question, if `max_perplexity` is set.
        continues: Whether the answer continues the question, a passage's opening, as plain text.
    """

    model_config = ConfigDict(frozen=True)

    source_id: str
    source_question: str = ""
    question: str
    answer: str
    kind: str
    chunk: int = 0
    similarity: float | None = None
    perplexity: float | None = None
    continues: bool = False


class Rejected(NewAnswer):
    """One row of `rejected.jsonl`: a candidate that was not used.

    Attributes:
        answer: Empty if the question itself was rejected, or nothing came back.
        reason: Why it was rejected.
    """

    answer: str = ""
    reason: str


def write_answers(file: Path, rows: Iterable[NewAnswer]) -> None:
    """Write the rows, without the fields that have their default."""
    write_jsonl(file, (row.model_dump(exclude_defaults=True) for row in rows))


def read_new_answers(file: Path) -> list[NewAnswer]:
    """Read `augmented.jsonl`; without the file there are none."""
    return [NewAnswer.model_validate(row) for row in _rows(file)]


def read_rejected(file: Path) -> list[Rejected]:
    """Read `rejected.jsonl`; without the file there are none."""
    return [Rejected.model_validate(row) for row in _rows(file)]


def _rows(file: Path) -> list[dict[str, Any]]:
    return read_jsonl(file) if file.is_file() else []
