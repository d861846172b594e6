"""Records in files of each format, and what reading them gives."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from relearn.base.errors import UserError
from relearn.config import ColumnsConfig
from relearn.data.records import Record
from relearn.data.sources import load_records

ROWS = [
    {"question": "Who is Zoë?", "answer": 'She said: "ja;\tgern".'},
    {"question": "Where,\nthen?", "answer": "東京\r\n🗼, then home"},
]


def as_csv(rows: list[dict[str, str]], delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json(rows: Any) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=2).encode()


def as_lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def load(
    folder: Path, name: str, data: bytes | str, columns: ColumnsConfig | None = None
) -> list[Record]:
    file = folder / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return load_records(str(file), columns)


def numbered(*cases: tuple[str | bytes, ...]) -> list[Any]:
    """Name each case by its file and a number.

    Packed files hold the time at which they were made: names taken from what is in them would
    differ between processes that share the tests out.
    """
    return [pytest.param(*case, id=f"{case[0]!s}-{i}") for i, case in enumerate(cases)]


def pairs(records: list[Record]) -> list[tuple[str, str]]:
    return [(record.question, record.answer) for record in records]


def refused(folder: Path, name: str, data: bytes | str) -> str:
    with pytest.raises(UserError) as caught:
        load(folder, name, data)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.hint
    assert str(folder / name) in message
    return message.replace(str(folder / name), name)
