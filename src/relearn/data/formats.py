"""File formats: the bytes of a JSON, JSON lines, CSV, TSV or Parquet file to rows."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from relearn.errors import UserError

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".gz")

# Columns that hold a conversation, not a file's list of records.
CHAT_COLUMNS = ("messages", "conversations")

_BETWEEN_ELEMENTS = re.compile(r"[ \t\r\n,]*")


@dataclass(frozen=True)
class Row:
    """One row of a file, or why it can't be read.

    Attributes:
        place: Where it stands, as a person would look for it: "line 3".
        fields: Cells by the name of their column.
        problem: What is wrong with the whole row, if anything.
    """

    place: str
    fields: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


def object_row(place: str, value: Any) -> Row:
    """Return the row that holds the JSON `value`, which should be an object."""
    if isinstance(value, dict):
        return Row(place, value)
    return Row(place, problem="is no JSON object with named fields")


def read_rows(data: bytes, name: str) -> list[Row]:
    """Read a file's rows; the suffix of `name` is a hint, the content decides.

    Args:
        data: The file's bytes, gzipped or not.
        name: The file's name, for its suffix and for messages.

    Raises:
        UserError: the file as a whole can't be read; rows that can't be are marked instead.
    """
    suffixes = [suffix.lower() for suffix in Path(name).suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    if data.startswith(b"\x1f\x8b"):
        data = _decompressed(data, name)
    if data.startswith(b"PAR1") or suffix == ".parquet":
        return _parquet_rows(data, name)
    text = _decoded(data, name)
    if not text.strip():
        raise UserError(f"{name} is empty.", "Give at least one record.")
    if suffix not in (".csv", ".tsv") and (suffix in SUFFIXES or text.lstrip()[0] in "[{"):
        return _json_rows(text, name, lines=suffix in (".jsonl", ".ndjson"))
    header = text.lstrip().split("\n")[0]
    delimiter = "\t" if suffix == ".tsv" else max(",;\t", key=header.count)
    if suffix not in (".csv", ".tsv") and delimiter not in header:
        raise UserError(f"{name} is no table and no JSON.", f"Known: {', '.join(SUFFIXES)}.")
    return list(_table_rows(text, name, delimiter))


def _decompressed(data: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} is a damaged gzip file: {error}.", "Pack it again.") from error


def _decoded(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{name} is not UTF-8 text (line {line}).", "Save it as UTF-8, or give Parquet."
        ) from error
    if "\0" in text:
        raise UserError(f"{name} is a binary file.", "Give JSON, JSON lines, CSV, TSV or Parquet.")
    return text


def _parquet_rows(data: bytes, name: str) -> list[Row]:
    try:
        values = parquet.ParquetFile(io.BytesIO(data)).read().to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise UserError(f"{name} can't be read as Parquet: {reason}.", "Write it again.") from error
    return [Row(f"row {i}", value) for i, value in enumerate(values, 1)]


def _json_rows(text: str, name: str, *, lines: bool) -> list[Row]:
    """Read a list of objects, an object that wraps such a list, or an object a line."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        first = text.lstrip().split("\n")[0].rstrip()
        # Published data sets call files of JSON lines .json, too.
        if not text.lstrip().startswith("[") and (lines or first.endswith("}")):
            return list(_line_rows(text))
        where = f" line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"{name}{where}: not valid JSON: {_reason(error)}.", "Mend it.") from error
    if isinstance(whole, list):
        return list(_list_rows(text))
    lists = {k: v for k, v in whole.items() if _is_set(k, v)} if isinstance(whole, dict) else {}
    if len(lists) > 1:
        raise UserError(f"{name} holds several lists: {', '.join(lists)}.", "Keep one a file.")
    for key, values in lists.items():
        return [object_row(f"{key}[{i}]", value) for i, value in enumerate(values)]
    return [object_row("line 1", whole)]


def _is_set(key: str, value: Any) -> bool:
    is_objects = isinstance(value, list) and value and isinstance(value[0], dict)
    return bool(is_objects) and key not in CHAT_COLUMNS


def _line_rows(text: str) -> Iterator[Row]:
    # Not splitlines(): a JSON text may hold U+2028 and its like.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield object_row(f"line {number}", json.loads(line))
        except (ValueError, RecursionError) as error:
            yield Row(f"line {number}", problem=f"is not valid JSON: {_reason(error)}")


def _list_rows(text: str) -> Iterator[Row]:
    """Yield the elements of a valid JSON list, each with its line and its number."""
    decoder = json.JSONDecoder()
    number = 0
    end, line = text.index("[") + 1, 1 + text.count("\n", 0, text.index("["))
    while True:
        start = _end_of_gap(text, end)
        line += text.count("\n", end, start)
        if text[start] == "]":
            return
        value, end = decoder.raw_decode(text, start)
        number += 1
        yield object_row(f"line {line} (record {number})", value)
        line += text.count("\n", start, end)


def _end_of_gap(text: str, position: int) -> int:
    gap = _BETWEEN_ELEMENTS.match(text, position)
    return gap.end() if gap else position


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return "nested too deep" if isinstance(error, RecursionError) else str(error).split(";")[0]


def _table_rows(text: str, name: str, delimiter: str) -> Iterator[Row]:
    """Yield the rows of a table with a header, each with the line on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            place, line = f"line {line}", reader.line_num + 1
            if not header:
                header = _checked_header([cell.strip() for cell in cells], name)
            elif len(cells) == len(header):
                yield Row(place, dict(zip(header, cells, strict=True)))
            elif cells:
                problem = f"has {len(cells)} cells where the header has {len(header)}"
                yield Row(place, problem=problem)
    except csv.Error as error:
        raise UserError(
            f"{name} line {line}: not a valid table: {error}.",
            "Quote a cell that holds a quote, a line break or the delimiter.",
        ) from error


def _checked_header(header: list[str], name: str) -> list[str]:
    if len(set(header)) < len(header):
        raise UserError(f"{name} has two columns of one name.", "Rename one of them.")
    return header
