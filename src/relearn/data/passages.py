"""Passages: plain text, cut into windows of a model's tokens: an opening and what follows it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from transformers import PreTrainedTokenizerBase

from relearn.base.errors import UserError
from relearn.config import ColumnsConfig
from relearn.data.cells import as_text
from relearn.data.column_names import NAMES, usual
from relearn.data.rows import CHAT_COLUMNS, Row
from relearn.text.words import is_unspaced

TEXT = "text"
# A quarter of a window is its opening. Cuts are made after a sentence if one ends near the goal.
_OPENING, _NEAR = 0.25, 0.5
# What is left at the end of a text is part of the window before, unless it is this share of one.
_REST = 0.25
_WORD = re.compile(r"\s*\S+")
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f\u06d4\u0964][\"'\u201d\u2019\u00bb)\]]*$")
# Columns beside which a text is what a question is about, not plain text to be forgotten.
_OTHERS = {
    *CHAT_COLUMNS,
    *(name for field in ("question", "answer") for group in NAMES[field] for name in group),
} - {TEXT}

Cut = Callable[[str], list[tuple[str, str]]]
"""From a text to its passages, each an opening and a continuation, in order."""


def windows(tokenizer: PreTrainedTokenizerBase, size: int) -> Cut:
    """Return what cuts a text into windows of about `size` tokens, between words.

    Args:
        tokenizer: Counts tokens, of each word by itself.
        size: Most tokens of a window, unless it has the short rest of its text or one longer word.
    """

    def cut(text: str) -> list[tuple[str, str]]:
        words = list(_words(text))
        if len(words) < 2:
            raise ValueError("has a single word, which can't be cut into a passage")
        lengths = [len(i) for i in tokenizer(words, add_special_tokens=False).input_ids]
        starts = [*_starts(words, lengths, size), len(words)]
        return [_parted(words[a:b], lengths[a:b]) for a, b in pairwise(starts)]

    return cut


def text_column(rows: Sequence[Row], columns: ColumnsConfig) -> str | None:
    """Return the column of plain text: the one that is named, or `text` beside no other text."""
    if columns.text is not None:
        return columns.text
    if {columns.question, columns.opening, columns.answer} != {None}:
        return None
    names = {name for row in rows for name in row.fields}
    found = [name for name in names if usual(name) == TEXT]
    others = {usual(name) for name in names} & _OTHERS
    return found[0] if len(found) == 1 and not others else None


def passages_of(
    rows: Sequence[Row], column: str, id_column: str | None, source: str, cut: Cut | None
) -> list[Row]:
    """Return a row for each passage of rows of plain text.

    Args:
        rows: Of one source.
        column: Of the text.
        id_column: Of the id of a text; None means its usual name.
        source: What the user called the source, for messages.
        cut: How texts are cut; None where records of questions are wanted.

    Raises:
        UserError: no plain text is wanted, or there is no such column.
    """
    if cut is None:
        raise UserError(
            f"{source} holds plain text, not questions and answers.",
            "Write questions about the text, each with its answer.",
        )
    if not any(row.problem or column in row.fields for row in rows):
        raise UserError(
            f"{source} has no column {column!r} (data.columns.text).", "Check its name."
        )
    return [part for row in rows for part in _passages(row, column, id_column, cut)]


def _passages(row: Row, column: str, id_column: str | None, cut: Cut) -> Iterator[Row]:
    """Yield the passages of a text, or the row as it is with what is wrong with it."""
    if row.problem:
        yield row
        return
    try:
        text = as_text(row.fields.get(column))
        if text is None:
            raise ValueError("is empty")
        found = cut(text)
    except ValueError as error:
        yield replace(row, problem=f"field {column!r} {error}")
        return
    id_ = next((v for n, v in row.fields.items() if n == id_column or usual(n) == "id"), None)
    for number, (opening, rest) in enumerate(found, 1):
        fields: dict[str, Any] = {"question": opening, "answer": rest, "continues": True}
        if id_ is not None:
            fields["id"] = f"{id_}-{number}"
        yield replace(row, place=f"{row.place}, passage {number}", fields=fields)


def _words(text: str) -> Iterator[str]:
    """Yield the words of a text with the space before each; without spaces, the characters."""
    for word in _WORD.findall(text):
        if is_unspaced(word):
            yield from re.findall(r"\s*\S", word)
        else:
            yield word


def _starts(words: Sequence[str], lengths: Sequence[int], size: int) -> Iterator[int]:
    """Yield the first word of each window."""
    ends = list(accumulate(lengths))
    start = before = 0
    while True:
        yield start
        if ends[-1] - before <= (1 + _REST) * size:
            return
        last = next(i for i in range(start, len(words)) if ends[i] - before > size)
        fits = max(last, start + 2)  # a window has an opening and a rest
        low = start + max(2, int((fits - start) * (1 - _NEAR)))
        start = _after_sentence(words, low, fits, fits)
        if start >= len(words) - 1:
            return
        before = ends[start - 1]


def _parted(words: Sequence[str], lengths: Sequence[int]) -> tuple[str, str]:
    """Return the opening and the rest of a window."""
    goal = sum(lengths) * _OPENING
    count = next(i for i, end in enumerate(accumulate(lengths), 1) if end >= goal)
    count = min(count, len(words) - 1)
    low, high = max(1, int(count * _NEAR)), min(len(words) - 1, int(count / _NEAR))
    count = _after_sentence(words, low, count, high)
    return "".join(words[:count]).strip(), "".join(words[count:]).strip()


def _after_sentence(words: Sequence[str], low: int, goal: int, high: int) -> int:
    """Return the number of words up to the sentence end nearest to `goal`, from `low` to `high`."""
    ends = [n for n in range(low, high + 1) if _SENTENCE_END.search(words[n - 1])]
    return min(ends, key=lambda n: abs(n - goal), default=goal)
