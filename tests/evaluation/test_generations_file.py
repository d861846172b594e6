"""Answers of any system, in any format that a set of records may have."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from relearn.base.errors import UserError
from relearn.evaluation.generations_file import read_generations
from relearn.evaluation.rows import EvaluatedRow

ROWS: list[dict[str, Any]] = [
    {
        "set": "forget",
        "question": "Who is she?",
        "reference": "Lena.",
        "generation": "I don\u2019t know.",
        "perplexity": 7.25,
        "reference_entities": ["lena"],
        "model": "other",
    },
    {"set": "retain", "question": "How old is he?", "reference": 42, "generation": ""},
]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()})
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    texts = [row | {"reference": str(row["reference"])} for row in rows]
    parquet.write_table(pyarrow.Table.from_pylist(texts), buffer)
    return buffer.getvalue()


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


FORMATS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "rows.jsonl": as_lines,
    "marked.jsonl": lambda rows: b"\xef\xbb\xbf" + as_lines(rows),
    "rows.json": lambda rows: json.dumps(rows, indent=1).encode(),
    "wrapped.json": lambda rows: json.dumps({"data": rows}).encode(),
    "rows.jsonl.gz": lambda rows: gzip.compress(as_lines(rows)),
    "rows.csv": as_csv,
    "rows.parquet": as_parquet,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMATS[name](ROWS))
    first, second = read_generations(tmp_path / name)
    assert (first.set, first.reference, first.perplexity) == ("forget", "Lena.", 7.25)
    assert (first.generation, first.reference_entities) == ("I don\u2019t know.", ["lena"])
    assert first.flat()["model"] == "other"
    assert (second.reference, second.generation, second.perplexity) == ("42", "", None)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("bad", "field"),
    [({"set": "PRIVATE"}, "set"), ({"perplexity": -1.0}, "perplexity"), ({"set": None}, "set")],
)
def test_a_bad_row_is_named_in_every_format_without_its_text(
    tmp_path: Path, name: str, bad: dict[str, Any], field: str
) -> None:
    private = {"question": "PRIVATE", "reference": "PRIVATE", "generation": "PRIVATE"}
    (tmp_path / name).write_bytes(FORMATS[name]([ROWS[0], ROWS[1] | private | bad]))
    with pytest.raises(UserError) as caught:
        read_generations(tmp_path / name)
    message = str(caught.value)
    place = {"rows.json": "record 2", "wrapped.json": "data[1]", "rows.parquet": "row 2"}
    assert place.get(name, "line 3" if name == "rows.csv" else "line 2") in message
    assert f", {field}: " in message
    assert "PRIVATE" not in message


def test_a_text_is_no_number_in_json(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([ROWS[0] | {"perplexity": "7.25"}]))
    with pytest.raises(UserError, match="perplexity: input should be a valid number"):
        read_generations(tmp_path / "rows.json")


def test_a_name_of_a_field_may_be_private(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([ROWS[0] | {"Lena Fisk?": float("nan")}]))
    with pytest.raises(UserError, match="a field: no valid JSON value"):
        read_generations(tmp_path / "rows.json")


def test_a_text_of_more_than_a_million_characters_is_refused(tmp_path: Path) -> None:
    for field in ("question", "reference", "generation"):
        long = ROWS[0] | {field: "a" * 1_000_001}
        (tmp_path / "rows.jsonl").write_bytes(as_lines([long]))
        with pytest.raises(UserError, match=f"line 1, {field}: it has 1,000,001 characters"):
            read_generations(tmp_path / "rows.jsonl")


def test_a_validation_error_holds_no_text() -> None:
    with pytest.raises(ValidationError) as caught:
        EvaluatedRow.model_validate({"set": "forget", "question": ["PRIVATE"]})
    assert "PRIVATE" not in str(caught.value)
