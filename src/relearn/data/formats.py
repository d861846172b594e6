"""File formats: the bytes of a JSON, JSON lines, CSV, TSV, Parquet or Excel file to rows."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow
from pyarrow import parquet

from relearn.base.errors import UserError
from relearn.base.extras import need
from relearn.data.column_names import USUAL_NAMES, usual
from relearn.data.json_rows import json_rows
from relearn.data.nested import unnested
from relearn.data.packed import EXCEL_SUFFIX, PACKED_SUFFIXES, check_kind, check_size, unpacked
from relearn.data.rows import Row

TEXT_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv")
PROSE_SUFFIXES = (".txt", ".md")
SUFFIXES = (*TEXT_SUFFIXES, *PROSE_SUFFIXES, ".parquet", EXCEL_SUFFIX, *PACKED_SUFFIXES)

# How records in JSON begin; prose may begin with a bracket, too.
_JSON = re.compile(r"\s*(?:\{\s*\"|\[\s*[\[{\"])")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_LONGEST_CELL = 2**31 - 1  # what the csv module takes on every platform
# How this encoding, all of whose bytes are ASCII, goes over to another character set.
_ISO_2022 = re.compile(r"\x1b\$\(?[@-D]")
_BYTE_ORDER_MARKS = (  # UTF-32's first: UTF-16's is how it begins
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_rows(data: bytes, name: str) -> list[Row]:
    """Read a file's rows; the suffix of `name` is a hint, the content decides.

    Args:
        data: The file's bytes, packed or not.
        name: The file's name, for its suffix and for messages.

    Raises:
        UserError: the file as a whole can't be read; rows that can't be are marked instead.
    """
    data, suffix = unpacked(data, name)
    if suffix == EXCEL_SUFFIX and data.startswith(b"PK"):
        return _excel_rows(data, name)
    if data.startswith(b"PAR1"):
        return _parquet_rows(data, name)
    check_kind(data, name)
    if suffix == ".parquet":
        raise UserError(f"{name} is not a Parquet file.", "Write it again.")
    text = _decoded(data, name)
    del data  # a large file is in memory once
    if not text or text.isspace():
        raise UserError(f"{name} is empty.", "Give at least one record.")
    if suffix in PROSE_SUFFIXES and not _holds_records(text):
        return [_prose(text)]
    if suffix not in (".csv", ".tsv") and (suffix in TEXT_SUFFIXES or text.lstrip()[0] in "[{"):
        return unnested(json_rows(text, name, lines=suffix in (".jsonl", ".ndjson")), name)
    # Excel writes a line before the header that names the delimiter.
    declared = text[4] if text[:4] == "sep=" and text[5:6] in ("\r", "\n") else ""
    header = text.lstrip().split("\n", 2)[1 if declared else 0]
    delimiter = declared or ("\t" if suffix == ".tsv" else max(",;\t", key=header.count))
    if suffix not in (".csv", ".tsv") and delimiter not in header:
        raise UserError(f"{name} is neither a table nor JSON.", f"Known: {', '.join(SUFFIXES)}.")
    return list(_table_rows(text, name, delimiter, skipped=1 if declared else 0))


def prose_rows(data: bytes, name: str) -> list[Row]:
    """Return the text of a file of prose as a row; none, if it is blank."""
    text = _decoded(unpacked(data, name)[0], name)
    return [_prose(text)] if text.strip() else []


def _prose(text: str) -> Row:
    return Row("the text", {"text": text})


def _holds_records(text: str) -> bool:
    """Return whether a text is JSON, or a table whose header has a usual name, and no prose."""
    if _JSON.match(text):
        return True
    header = re.split("[,;\t]", text.lstrip().partition("\n")[0])
    return len(header) > 1 and not USUAL_NAMES.isdisjoint(map(usual, header))


def _decoded(data: bytes, name: str) -> str:
    encoding = next((e for mark, e in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        kind = encoding.upper().removesuffix("-SIG")
        raise UserError(
            f"{name} is not {kind} text (line {line}).", "Save it as UTF-8, or give Parquet."
        ) from error
    if _ISO_2022.search(text):
        raise UserError(f"{name} is ISO 2022 text (ISO-2022-JP).", "Save it as UTF-8.")
    if "\0" not in text:
        return text
    if set(data[1:100:2]) == {0} or set(data[:100:2]) == {0}:
        raise UserError(f"{name} is UTF-16 text without a byte order mark.", "Save it as UTF-8.")
    raise UserError(f"{name} is a binary file.", "Give JSON, JSON lines, CSV, TSV or Parquet.")


def _parquet_rows(data: bytes, name: str) -> list[Row]:
    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        check_size(sum(group.total_byte_size for group in groups), name)
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            raise UserError(f"{name} has two columns with the same name.", "Rename one of them.")
        values = _shortest_floats(file.read()).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        # Arrow's words may hold values of the file.
        raise UserError(f"{name} is a damaged Parquet file.", "Write it again.") from error
    return [Row(f"row {i}", value) for i, value in enumerate(values, 1)]


def _shortest_floats(table: pyarrow.Table) -> pyarrow.Table:
    """Let a column of single precision read 0.1, not 0.10000000149011612."""
    for i, column in enumerate(table.schema):
        if pyarrow.types.is_float32(column.type):
            digits = table.column(i).cast(pyarrow.string()).cast(pyarrow.float64())
            table = table.set_column(i, column.name, digits)
    return table


def _excel_rows(data: bytes, name: str) -> list[Row]:
    """Return the rows of the only sheet that holds any."""
    for module in ("openpyxl", "pandas"):
        need(module, f"{name}, an Excel workbook,", "save it as CSV (UTF-8)")
    import pandas

    try:
        # Cells as they are: an empty one is None, "NA" is a text.
        sheets = pandas.read_excel(
            io.BytesIO(data), sheet_name=None, header=None, dtype=object,
            engine="openpyxl", na_filter=False,
        )  # fmt: skip
    except Exception as error:  # openpyxl's, zipfile's and the XML reader's own
        raise UserError(
            f"{name} is a damaged Excel workbook.", "Save it as CSV (UTF-8)."
        ) from error
    filled = [rows for sheet in sheets.values() if (rows := _filled(sheet.to_numpy().tolist()))]
    if not filled:
        raise UserError(f"{name} is empty.", "Give at least one record.")
    if len(filled) > 1:
        raise UserError(
            f"{name} has {len(filled)} non-empty sheets.", "Save the right one as CSV (UTF-8)."
        )
    (_, first), *rows = filled[0]
    header = _checked_header(["" if cell is None else str(cell).strip() for cell in first], name)
    return [Row(f"row {number}", _named_cells(header, cells)) for number, cells in rows]


def _filled(rows: Sequence[list[Any]]) -> list[tuple[int, list[Any]]]:
    """Return the rows that hold any cell, each with its number."""
    return [
        (number, [None if cell == "" else cell for cell in cells])
        for number, cells in enumerate(rows, 1)
        if any(cell not in (None, "") for cell in cells)
    ]


def _table_rows(text: str, name: str, delimiter: str, skipped: int) -> Iterator[Row]:
    """Yield the rows of a table with a header, each with the line on which it begins."""
    csv.field_size_limit(_LONGEST_CELL)
    lines = (found[0] for found in _LINE.finditer(text))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            place, line = f"line {line}", reader.line_num + 1
            if reader.line_num <= skipped or not any(cell.strip() for cell in cells):
                continue  # a row of empty cells, as spreadsheets leave at the end, is no record
            if not header:
                header = _checked_header([cell.strip() for cell in cells], name)
            elif len(cells) == len(header):
                yield Row(place, _named_cells(header, cells))
            else:
                problem = f"has {len(cells)} cells where the header has {len(header)}"
                yield Row(place, problem=problem)
    except csv.Error as error:
        raise UserError(
            f"{name} line {line}: not a valid table: {error}.",
            "Quote cells that contain a quote, a line break or the delimiter.",
        ) from error


def _checked_header(header: list[str], name: str) -> list[str]:
    named = [column for column in header if column]
    if len(set(named)) < len(named):
        raise UserError(f"{name} has two columns with the same name.", "Rename one of them.")
    return header


def _named_cells(header: list[str], cells: Sequence[Any]) -> dict[str, Any]:
    """Return the cells by column; a column without a name can't be asked for."""
    return {column: cell for column, cell in zip(header, cells, strict=True) if column}
