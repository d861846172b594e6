"""The record: one question and its answer, validated once and then trusted."""

import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from relearn.errors import UserError


def _clean(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no file could hold again
        raise ValueError("is no valid Unicode") from None
    if not text.strip():
        raise ValueError("is empty")
    return text.strip()


Text = Annotated[str, AfterValidator(_clean)]


class Record(BaseModel):
    """One piece of knowledge as question and answer; no text is blank, outer space is cut off.

    Attributes:
        id: Unique within its set.
        question: What is asked.
        answer: What the target model answers.
        subject: Whom or what the record is about, where known.
        paraphrases: Other phrasings of the question.
        paraphrased_answer: The answer in other words.
        wrong_answers: Answers of the same form that are false.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Text
    question: Text
    answer: Text
    subject: Text | None = None
    paraphrases: tuple[Text, ...] = ()
    paraphrased_answer: Text | None = None
    wrong_answers: tuple[Text, ...] = ()


def check_disjoint(forget: Sequence[Record], retain: Sequence[Record]) -> None:
    """Refuse a retain set that asks what shall be forgotten.

    Questions are compared without regard to case, spacing and the form of Unicode.

    Raises:
        UserError: a forget record's question stands in the retain set too.
    """
    retained = {_folded(record.question): record.id for record in retain}
    both = [(r.id, retained[q]) for r in forget if (q := _folded(r.question)) in retained]
    if both:
        raise UserError(
            f"forget record {both[0][0]} stands in the retain set too, as {both[0][1]} "
            f"({len(both)} such records).",
            "Take it out of one of the two.",
        )


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
