"""JSON and JSON lines to rows, each with its place."""

import json
import re
from collections.abc import Iterator
from typing import Any

from relearn.base.errors import UserError
from relearn.data.rows import CHAT_COLUMNS, Row, shown

_LINE = re.compile("([^\n]*)(?:\n|$)")
_BETWEEN_ELEMENTS = re.compile(r"[ \t\r\n,]*")
_HINT = "Correct the file; a JSON checker shows the place."

# What a list of records is called where an object wraps it; another name may be private.
_USUAL_LISTS = frozenset(
    "data train training test validation val valid dev eval records rows examples items questions "
    "forget retain unlearn holdout full".split()
)


class Number(float):
    """A JSON number with a point or an exponent that keeps how it was written: 81.50, 1e6."""

    literal: str

    def __new__(cls, literal: str) -> "Number":
        """Read the number."""
        number = super().__new__(cls, literal)
        number.literal = literal
        return number


class _NamedTwice(dict[str, Any]):
    """An object that names a field twice, of which plain JSON readers keep the last."""

    field: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    names = [name for name, _ in pairs]
    twice = _NamedTwice(value)
    twice.field = next(name for name in names if names.count(name) > 1)
    return twice


# `json.loads` with these options makes a new decoder each time, which costs more than a row.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=Number)


def object_row(place: str, value: Any) -> Row:
    """Return the row that holds the JSON `value`, which should be an object."""
    if not isinstance(value, dict):
        return Row(place, problem="is no JSON object with named fields")
    if twice := _named_twice(value):
        return Row(place, problem=f"names {shown([twice.field])} twice in one object")
    return Row(place, value, own_names=True)


def _named_twice(value: Any) -> _NamedTwice | None:
    """Return an object in `value` that names a field twice."""
    open_ = [value]
    while open_:
        each = open_.pop()
        if isinstance(each, _NamedTwice):
            return each
        if isinstance(each, dict):
            open_ += [v for v in each.values() if isinstance(v, dict | list)]
        elif isinstance(each, list):
            open_ += [v for v in each if isinstance(v, dict | list)]
    return None


def json_rows(text: str, name: str, *, lines: bool) -> list[Row]:
    """Read a list of objects, an object that wraps such a list, or an object a line.

    Args:
        text: Of the file.
        name: The file's name, for messages.
        lines: The suffix says that it holds an object a line.

    Raises:
        UserError: the file as a whole can't be read; rows that can't be are marked instead.
    """
    try:
        whole = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        first = text.lstrip().split("\n", 1)[0].rstrip()
        # Published data sets call files of JSON lines .json, too.
        if not text.lstrip().startswith("[") and (lines or first.endswith("}")):
            return list(_line_rows(text))
        where = f" line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"{name}{where}: not valid JSON: {_reason(error)}.", _HINT) from error
    if isinstance(whole, list):
        del whole  # each element is read again, with its place
        return list(_list_rows(text))
    if not isinstance(whole, dict) or isinstance(whole, _NamedTwice):
        return [object_row("line 1", whole)]
    lists = {key: values for key, values in whole.items() if _is_set(key, values)}
    if len(lists) > 1:
        raise UserError(
            f"{name} contains {len(lists)} lists of records.", "Put each set in its own file."
        )
    for key, values in lists.items():
        usual = key.casefold() in _USUAL_LISTS
        return [
            object_row(f"{key}[{i}]" if usual else f"record {i + 1}", value)
            for i, value in enumerate(values)
        ]
    return _column_rows(whole) or [object_row("line 1", whole)]


def _is_set(key: str, value: Any) -> bool:
    is_objects = isinstance(value, list) and value and isinstance(value[0], dict)
    return bool(is_objects) and key not in CHAT_COLUMNS and not _is_message(value[0])


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and ({"role", "content"} <= value.keys() or "from" in value)


def _column_rows(whole: dict[str, Any]) -> list[Row]:
    """Return the rows of an object of columns, as pandas and datasets write them; else none."""
    columns = list(whole.values())
    if all(isinstance(column, dict) and column for column in columns):
        columns = [list(column.values()) for column in columns]
    if len(columns) < 2 or not all(isinstance(column, list) and column for column in columns):
        return []
    if len({len(column) for column in columns}) > 1 or _named_twice(whole):
        return []
    if any(_is_message(column[0]) for column in columns):
        return []
    return [
        object_row(f"record {i}", dict(zip(whole, cells, strict=True)))
        for i, cells in enumerate(zip(*columns, strict=True), 1)
    ]


def _line_rows(text: str) -> Iterator[Row]:
    # Not splitlines(): a JSON text may hold U+2028 and its like.
    for number, found in enumerate(_LINE.finditer(text), 1):
        line = found[1]
        if not line or line.isspace():
            continue
        try:
            yield object_row(f"line {number}", _DECODER.decode(line))
        except (ValueError, RecursionError) as error:
            yield Row(f"line {number}", problem=f"is not valid JSON: {_reason(error)}")


def _list_rows(text: str) -> Iterator[Row]:
    """Yield the elements of a valid JSON list, each with its line and its number."""
    number = 0
    end, line = text.index("[") + 1, 1 + text.count("\n", 0, text.index("["))
    while True:
        start = _end_of_gap(text, end)
        line += text.count("\n", end, start)
        if text[start] == "]":
            return
        value, end = _DECODER.raw_decode(text, start)
        number += 1
        yield object_row(f"line {line} (record {number})", value)
        line += text.count("\n", start, end)


def _end_of_gap(text: str, position: int) -> int:
    gap = _BETWEEN_ELEMENTS.match(text, position)
    return gap.end() if gap else position


def _reason(error: Exception) -> str:
    """Return what is wrong with a JSON text, without any of it."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    if isinstance(error, RecursionError):
        return "nested too deep"
    return "it holds a number of too many digits"
