"""Cells: what a column holds, whatever its type, as text."""

import datetime
import json
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from relearn.data.json_rows import Number

MOST_CHARACTERS = 1_000_000
"""Of a text: spaCy parses no more at once."""

# Where an object stands in the place of an answer: SQuAD's and TriviaQA's fields for its text.
_ANSWER_FIELDS = ("text", "value")


def as_text(value: Any) -> str | None:
    """Return a cell as text; None for a blank or missing one.

    A number is what the file writes; a whole number that a table keeps as a floating one loses its
    ".0", which pandas adds to a column with gaps. A time at midnight is a date.

    Raises:
        ValueError: the cell is no text, number, truth value or time; says what it is.
    """
    if value is None or _is_gap(value):
        return None
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat(" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return _decoded(value)
    if isinstance(value, dict):
        raise ValueError("is an object, not text")
    raise ValueError("is a list, not text" if isinstance(value, list | tuple) else "is not text")


def as_answer(value: Any) -> tuple[str | None, int]:
    """Return a cell as the text of an answer, and how many further answers it holds.

    Of several answers the first is taken; of an object, as SQuAD and TriviaQA have it, its text.

    Raises:
        ValueError: see `as_text`.
    """
    if isinstance(value, dict):
        field = next((name for name in _ANSWER_FIELDS if name in value), None)
        return (as_text(value), 0) if field is None else as_answer(value[field])
    if not isinstance(value, list | tuple):
        return as_text(value), 0
    if any(isinstance(each, list | tuple) for each in value):
        raise ValueError("is a list of lists, not text")
    texts = [text for each in value if (text := as_answer(each)[0]) is not None]
    return (texts[0], len(set(texts)) - 1) if texts else (None, 0)


def as_flag(value: Any) -> bool:
    """Return a cell as true or false; a missing one is false.

    Raises:
        ValueError: it is neither.
    """
    known = {"true": True, "false": False, None: False}
    text = as_text(value)
    text = text and text.casefold()
    if text not in known:
        raise ValueError("is neither true nor false")
    return known[text]


def as_texts(value: Any) -> tuple[str, ...]:
    """Return a cell as a list: a single text is a list of one; a table's cell may hold JSON.

    Raises:
        ValueError: an element is no text; its message begins with the element's number.
    """
    if isinstance(value, str) and value.strip().startswith("[") and value.strip().endswith("]"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(" has a list that is not JSON") from None
    if not isinstance(value, list | tuple):
        try:
            text = as_text(value)
        except ValueError as error:
            raise ValueError(f" {error}") from None
        return () if text is None else (text,)
    return tuple(_elements(value))


def as_choices(value: Any) -> tuple[str, ...]:
    """Return a cell as the choices of a question; ARC's are an object with a field `text`.

    Raises:
        ValueError: see `as_texts`.
    """
    return as_texts(value["text"] if isinstance(value, dict) and "text" in value else value)


def _elements(values: Iterable[Any]) -> Iterable[str]:
    for i, value in enumerate(values):
        try:
            text = as_text(value)
        except ValueError as error:
            raise ValueError(f"[{i}] {error}") from None
        if text is None:
            raise ValueError(f"[{i}] is {'empty' if isinstance(value, str) else 'missing'}")
        yield text


def _is_gap(value: Any) -> bool:
    """Return whether a value says that there is none: NaN of any kind, pandas' NaT."""
    return isinstance(value, float | Decimal | datetime.datetime) and bool(value != value)


def _float_text(value: float) -> str:
    if math.isinf(value):
        raise ValueError("is an infinite number")
    if isinstance(value, Number):
        return value.literal
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _decoded(value: bytes) -> str | None:
    try:
        return as_text(value.decode())
    except UnicodeDecodeError:
        raise ValueError("is binary data, not text") from None
