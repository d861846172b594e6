"""SQuAD's own files: articles of paragraphs of questions, to a row for each question."""

from collections.abc import Iterator, Sequence
from typing import Any

from relearn.base.progress import note
from relearn.data.rows import Row


def unnested(rows: Sequence[Row], name: str) -> list[Row]:
    """Return a row for each question in an article's `paragraphs` or a paragraph's `qas`.

    Other rows are returned as they are. SQuAD 2's questions that have no answer in the text are
    left out, and a note says how many.

    Args:
        rows: Of a file.
        name: The file's name, for the note.
    """
    found = [question for row in rows for question in _questions(row)]
    answerable = [row for row in found if row.fields.get("is_impossible") is not True]
    if left := len(found) - len(answerable):
        note(f"{name}: questions that have no answer (is_impossible) are left out: {left}")
    return answerable


def _questions(row: Row) -> Iterator[Row]:
    article = row.fields
    inner = {key: value for key, value in article.items() if key not in ("paragraphs", "qas")}
    if _are_objects(article.get("paragraphs")):
        for i, paragraph in enumerate(article["paragraphs"]):
            place = f"{row.place} paragraphs[{i}]"
            yield from _questions(Row(place, inner | paragraph, own_names=True))
    elif _are_objects(article.get("qas")):
        for i, question in enumerate(article["qas"]):
            yield Row(f"{row.place} qas[{i}]", inner | question, own_names=True)
    else:
        yield row


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
