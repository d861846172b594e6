import bz2
import contextlib
import datetime
import gzip
import io
import json
import lzma
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from helpers.record_files import (
    ROWS,
    as_csv,
    as_json,
    as_lines,
    as_parquet,
    load,
    numbered,
    pairs,
    refused,
)
from relearn.base.errors import UserError
from relearn.data.formats import SUFFIXES, read_rows


def as_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def parquet_of_one_name() -> bytes:
    table = pyarrow.Table.from_arrays([["Q"], ["A"]], names=["question", "question"])
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    numbered(
        ("rows.json", as_json(ROWS)),
        ("rows.json", json.dumps(ROWS).encode()),
        ("rows.json", as_lines(ROWS)),
        ("rows.json", as_json({"version": 1, "data": ROWS})),
        ("rows.json", json.dumps({"train": ROWS}).encode()),
        ("rows.jsonl", as_lines(ROWS)),
        ("rows.jsonl", as_lines(ROWS).replace(b"}\n", b"}\r\n\r\n")),
        ("rows.jsonl", as_json(ROWS)),
        ("rows.ndjson", b"\xef\xbb\xbf" + as_lines(ROWS)),
        ("ROWS.CSV", as_csv(ROWS)),
        ("rows.csv", as_csv(ROWS, ";")),
        ("rows.csv", b"\xef\xbb\xbf" + as_csv(ROWS)),
        ("rows.tsv", as_csv(ROWS, "\t")),
        ("rows.parquet", as_parquet(ROWS)),
        ("rows.jsonl.gz", gzip.compress(as_lines(ROWS))),
        ("rows.csv.gz", gzip.compress(as_csv(ROWS))),
        ("rows.jsonl.xz", lzma.compress(as_lines(ROWS))),
        ("rows.tsv.bz2", bz2.compress(as_csv(ROWS, "\t"))),
        ("rows.jsonl.zst", bytes(pyarrow.compress(as_lines(ROWS), "zstd", asbytes=True))),
        ("rows.zip", as_zip({"r.csv": as_csv(ROWS), "__MACOSX/r.csv": b"", "d/": b""})),
        ("rows.jsonl.zip", as_zip({"rows.jsonl": as_lines(ROWS)})),
        ("rows.zip", as_zip({"rows.jsonl.gz": gzip.compress(as_lines(ROWS))})),
        ("rows.csv", as_csv(ROWS).decode().encode("utf-16")),
        ("rows.jsonl", as_lines(ROWS).decode().encode("utf-16")),
        ("rows.json", as_json(ROWS).decode().encode("utf-32")),
        ("rows.csv", b"sep=;\r\n" + as_csv(ROWS, ";")),
        ("rows.csv", as_csv([{**row, "": ""} for row in ROWS]) + b",,\r\n"),
        ("rows.json", json.dumps({key: [r[key] for r in ROWS] for key in ROWS[0]}).encode()),
        ("rows.json", pandas.DataFrame(ROWS).to_json().encode()),
        ("rows", as_json(ROWS)),
        ("rows.txt", as_lines(ROWS)),
        ("rows", as_csv(ROWS)),
        ("rows", as_parquet(ROWS)),
        ("rows.v1", as_csv(ROWS, "\t")),
    ),
)
def test_every_format_gives_the_same_records(tmp_path: Path, name: str, data: bytes) -> None:
    records = load(tmp_path, name, data)
    assert pairs(records) == [(row["question"], row["answer"]) for row in ROWS]
    assert [record.id for record in records] == ["forget-00001", "forget-00002"]


texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40
).filter(lambda text: text.strip())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_any_text_survives_every_format(texts: list[tuple[str, str]]) -> None:
    rows = [{"question": question, "answer": answer} for question, answer in texts]
    for name, data in [
        ("rows.json", as_json(rows)),
        ("rows.json", json.dumps(rows).encode()),
        ("rows.json", as_lines(rows)),
        ("rows.jsonl", as_lines(rows)),
        ("rows.csv", as_csv(rows)),
        ("rows.tsv", as_csv(rows, "\t")),
        ("rows.parquet", as_parquet(rows)),
        ("rows.jsonl.xz", lzma.compress(as_lines(rows))),
        ("rows.csv", as_csv(rows).decode().encode("utf-16")),
        ("rows.zip", as_zip({"rows.tsv": as_csv(rows, "\t")})),
    ]:
        assert [row.fields for row in read_rows(data, name)] == rows, name


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(SUFFIXES))
def test_any_bytes_give_rows_or_a_user_error(data: bytes, suffix: str) -> None:
    with contextlib.suppress(UserError):
        read_rows(data, f"rows{suffix}")


GOOD = '{"question": "Q", "answer": "A"}'


@pytest.mark.parametrize(
    ("name", "data", "says"),
    numbered(
        ("rows.jsonl", "", "rows.jsonl is empty."),
        ("rows.csv", " \n\n", "rows.csv is empty."),
        ("rows.json", "[]", "rows.json contains no records."),
        ("rows.csv", "question,answer\n", "rows.csv contains no records."),
        ("rows.parquet", as_parquet(ROWS)[:-9], "rows.parquet is a damaged Parquet file"),
        ("rows.jsonl.gz", gzip.compress(as_lines(ROWS), mtime=0)[:-9], "damaged gzip file"),
        ("rows.jsonl", GOOD + "\n{oops\n", "rows.jsonl line 2 is not valid JSON: Expecting"),
        ("rows.jsonl", "{oops\n" + GOOD, "rows.jsonl line 1 is not valid JSON: Expecting"),
        ("rows.json", GOOD + '\n{"question": "Q"', "rows.json line 2 is not valid JSON"),
        ("rows.json", f"[\n{GOOD},\n{GOOD}\n{GOOD}]", "rows.json line 4: not valid JSON"),
        ("rows.json", '{\n"data": [\n{]}', "rows.json line 3: not valid JSON"),
        ("rows.json", "[" * 100_000, "rows.json: not valid JSON: nested too deep"),
        ("rows.jsonl", GOOD + "\n" + "[" * 100_000, "line 2 is not valid JSON: nested too deep"),
        ("rows.jsonl", GOOD + "\n" + "9" * 5000, "line 2 is not valid JSON: it holds a number of"),
        (
            "rows.json",
            f'{{"train": [{GOOD}], "val": [{GOOD}]}}',
            "rows.json contains 2 lists of records",
        ),
        ("rows.jsonl", GOOD + '\n\n["Q", "A"]', "rows.jsonl line 3 is no JSON object"),
        ("rows.json", f"[\n{GOOD},\n\n3]", "rows.json line 4 (record 2) is no JSON object"),
        ("rows.json", "3", "rows.json line 1 is no JSON object"),
        ("rows.json", "[{}]", "rows.json line 1 (record 1) has no fields"),
        ("rows.jsonl", GOOD + '\n{"question": "Q"}', "line 2 field 'answer' is missing"),
        (
            "rows.jsonl",
            GOOD + '\n{"question": " ", "answer": "A"}',
            "line 2 field 'question' is empt",
        ),
        ("rows.jsonl", '{"text": "Q", "labels": null}', "line 1 field 'labels' is missing"),
        ("rows.jsonl", '{"text": ["Q"], "labels": "A"}', "line 1 field 'text' is a list, not text"),
        (
            "rows.jsonl",
            '{"question": "\\ud800", "answer": "A"}',
            "field 'question' is no valid Uni",
        ),
        (
            "rows.jsonl",
            '{"question": "Q", "answer": "A", "perturbed_answer": ["B", ["C"]]}',
            "line 1 field 'perturbed_answer'[1] is a list, not text",
        ),
        (
            "rows.jsonl",
            '{"id": "x", "question": "Q", "answer": "A"}\n' * 2,
            "rows.jsonl line 2 has the id 'x', as line 1 has",
        ),
        ("rows.csv", "question,answer\nQ,A\n\n,B\n", "rows.csv line 4 field 'question' is empty"),
        ("rows.csv", 'question,answer\n"Q\nQ",A\nQ,\n', "rows.csv line 4 field 'answer' is empty"),
        ("rows.csv", "question,answer\nQ,A,B\n", "line 2 has 3 cells where the header has 2"),
        ("rows.csv", 'question,answer\nQ,A\nR,"B\n', "rows.csv line 3: not a valid table"),
        ("rows.csv", "question,answer,answer\nQ,A,B\n", "two columns with the same name"),
        ("rows.csv", "question,answer,perturbed_answer\nQ,A,['B']\n", "list that is not JSON"),
        ("rows.parquet", as_parquet([*ROWS, {"question": "Q"}]), "row 3 field 'answer' is missing"),
        ("rows.csv", "question,answer\nQ,A\nQ,é\n".encode("latin-1"), "not UTF-8 text (line 3)"),
        (
            "rows.csv",
            "question,answer\nQ,A\n".encode("utf-16-le"),
            "UTF-16 text without a byte order mark",
        ),
        ("rows.csv", b"\xff\xfeq\0u", "rows.csv is"),
        ("rows.jsonl", '{"question": "Q", "answer": "A", "answer": "B"}', "names answer twice"),
        (
            "rows.json",
            f'[{GOOD},\n{{"question": "Q", "answer": {{"text": 1, "text": 2}}}}]',
            "line 2 (record 2) names text twice",
        ),
        ("rows.json", f'{{"data": [{GOOD}], "data": [{GOOD}]}}', "line 1 names data twice"),
        ("rows.jsonl.gz", b"\x1f\x8bno", "rows.jsonl.gz is a damaged gzip file"),
        ("rows.xz", b"\xfd7zXZ\0no", "rows.xz is a damaged xz file"),
        ("rows.bz2", b"BZh91AY&SYno", "rows.bz2 is a damaged bzip2 file"),
        ("rows.zst", b"\x28\xb5\x2f\xfdno", "rows.zst is a damaged zstd file"),
        ("rows.zip", b"PK\x03\x04no", "rows.zip is a damaged zip file"),
        ("rows.zip", as_zip({"a.csv": b"", "b.csv": b""}), "rows.zip is a zip archive of 2 files"),
        ("rows.docx", as_zip({"word/document.xml": b""}), "rows.docx is a Word document"),
        (
            "rows.tar.gz",
            gzip.compress(b"x" * 257 + b"ustar", mtime=0),
            "rows.tar.gz is a tar archive",
        ),
        ("rows.xls", b"\xd0\xcf\x11\xe0\xa1", "rows.xls is a file of Excel or Word before 2007"),
        ("rows.pdf", b"%PDF-1.7", "rows.pdf is a PDF document"),
        ("rows.csv", b"<!DOCTYPE html><html>", "rows.csv is an HTML page"),
        ("rows.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("rows.parquet", GOOD, "rows.parquet is not a Parquet file"),
        ("rows.parquet", parquet_of_one_name(), "two columns with the same name"),
        ("rows.bin", b"{\0\1\2", "rows.bin is a binary file"),
        ("notes.dat", "Some notes\nand more\n", "notes.dat is neither a table nor JSON"),
    ),
)
def test_bad_input_is_named_with_its_place(
    tmp_path: Path, name: str, data: bytes | str, says: str
) -> None:
    assert says in refused(tmp_path, name, data)


def test_further_bad_records_are_counted(tmp_path: Path) -> None:
    rows = [{"question": "Q", "answer": answer} for answer in ("A", "", [], None)]
    message = refused(tmp_path, "rows.jsonl", as_lines(rows))
    assert "line 2 field 'answer' is empty (2 more bad records)." in message


def as_excel(sheets: dict[str, list[list[Any]]]) -> bytes:
    buffer = io.BytesIO()
    with pandas.ExcelWriter(buffer, engine="openpyxl") as writer:
        for name, rows in sheets.items():
            pandas.DataFrame(rows).to_excel(writer, sheet_name=name, header=False, index=False)
    return buffer.getvalue()


def test_an_excel_workbook_is_read_where_openpyxl_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    rows = [
        ["question", "answer", "id"],
        ["How old is Zoë?", 42, 7],
        [None, None, None],
        ["When was she born?", datetime.datetime(1983, 5, 2), 8],
        ["What is the sign?", "NA", 9],
    ]
    records = load(tmp_path, "rows.xlsx", as_excel({"one": rows, "two": []}))
    assert [(r.id, r.answer) for r in records] == [("7", "42"), ("8", "1983-05-02"), ("9", "NA")]
    missing = [*rows, ["Who is she?", None, 10]]
    message = refused(tmp_path, "rows.xlsx", as_excel({"one": missing}))
    assert "rows.xlsx row 6 field 'answer' is missing" in message
    assert "has 2 non-empty sheets" in refused(
        tmp_path, "rows.xlsx", as_excel({"one": rows, "two": rows})
    )
    assert "is empty" in refused(tmp_path, "rows.xlsx", as_excel({"one": []}))
    broken = as_zip({"xl/workbook.xml": b"<oops"})
    assert "is a damaged Excel workbook" in refused(tmp_path, "rows.xlsx", broken)


def test_an_excel_workbook_without_openpyxl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    message = refused(tmp_path, "rows.xlsx", as_zip({"xl/workbook.xml": b""}))
    assert "an Excel workbook, needs openpyxl, which is not installed. pip install" in message


def test_no_file_is_unpacked_beyond_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = as_lines([{"question": "Q", "answer": "a" * 5_000_000}])
    bombs = {
        "rows.jsonl.gz": gzip.compress(text),
        "rows.jsonl.xz": lzma.compress(text),
        "rows.jsonl.bz2": bz2.compress(text),
        "rows.jsonl.zst": pyarrow.compress(text, "zstd", asbytes=True),
        "rows.zip": as_zip({"rows.jsonl": text}),
        "rows.xlsx": as_zip({"xl/workbook.xml": text}),
        "twice.jsonl.gz": gzip.compress(gzip.compress(text)),
    }
    for name, data in bombs.items():
        assert "field 'answer' has 5,000,000 characters" in refused(tmp_path, name, data) or (
            name == "rows.xlsx"
        )
    monkeypatch.setattr("relearn.data.packed.LARGEST", 4 << 20)
    for name, data in bombs.items():
        assert "more than 4 MiB of records" in refused(tmp_path, name, data)
    assert "more than 4 MiB of records" in refused(tmp_path, "rows.jsonl", text)


def test_a_long_line_is_read_and_a_long_text_is_refused_with_its_place(tmp_path: Path) -> None:
    good = {"question": "Q", "answer": "a" * 1_000_000}
    (record,) = load(tmp_path, "rows.jsonl", as_lines([good | {"note": "n" * 50_000_000}]))
    assert len(record.answer) == 1_000_000
    (record,) = load(tmp_path, "rows.csv", as_csv([good]))
    assert len(record.answer) == 1_000_000
    for field in ("question", "answer", "paraphrases", "wrong_answers"):
        message = refused(tmp_path, "rows.jsonl", as_lines([good | {field: "a" * 1_000_001}]))
        assert f"rows.jsonl line 1 field '{field}' has 1,000,001 characters" in message


SECRET = "Where does Lena Fisk live?"
HIDDEN = "In Aldmoor, at 12 Harrow Lane."


@pytest.mark.parametrize(
    ("name", "data"),
    numbered(
        ("rows.csv", f'{SECRET},"{HIDDEN}"\nWho?,She.\n'),
        ("rows.csv", "Lena,Aldmoor\nAna,Castrol\n"),
        ("rows.csv", f'{SECRET},{SECRET}\n"{HIDDEN}",b\n'),
        ("rows.csv", f'question,answer\n{SECRET},"{HIDDEN}\n'),
        ("rows.csv", f'question,answer\n{SECRET},"{HIDDEN}"x\n'),
        ("rows.csv", f"question,answer\n{SECRET},{HIDDEN},{HIDDEN}\n"),
        ("rows.tsv", f"{SECRET}\t{HIDDEN}\nWho?\tShe.\n"),
        ("rows.json", json.dumps({SECRET: HIDDEN})),
        ("rows.json", json.dumps({"Lena Fisk": "Aldmoor"})),
        ("rows.json", json.dumps({"Lena Fisk": [{"a": HIDDEN}], "Ana": [{"a": HIDDEN}]})),
        ("rows.json", json.dumps({"Lena Fisk": [{"question": SECRET}]})),
        ("rows.json", f'[{{"question": "{SECRET}", "answer": {HIDDEN}}}]'),
        ("rows.json", f'{{"{SECRET}": 1, "{SECRET}": 2}}'),
        ("rows.jsonl", json.dumps({"question": SECRET, "answer": [[HIDDEN]]})),
        ("rows.jsonl", json.dumps({"question": SECRET, "answer": {"Lena": HIDDEN}})),
        ("rows.jsonl", json.dumps({"question": SECRET, "answer": HIDDEN + "\ud800"})),
        ("rows.jsonl", json.dumps({"question": SECRET}) + "\n" + SECRET),
        ("rows.jsonl", json.dumps({"messages": [{"from": "Lena Fisk", "value": HIDDEN}]})),
        ("rows.jsonl", json.dumps({"messages": [{SECRET: HIDDEN}]})),
        ("rows.csv", f'question,answer,wrong_answers\n{SECRET},A,"[{HIDDEN}]"\n'),
        ("rows.txt", f"{SECRET}\n{HIDDEN}\n"),
        ("rows.csv", f"question,answer\n{SECRET},Sm\u00f8ll\n".encode("latin-1")),
        ("rows.parquet", as_parquet([{SECRET: HIDDEN, "Lena": HIDDEN}])),
        ("rows.parquet", as_parquet([{"question": SECRET, "answer": HIDDEN}])[:-20]),
        ("rows.json", SECRET),
    ),
)
def test_messages_hold_no_private_text(
    tmp_path: Path, name: str, data: bytes | str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(tmp_path, name, data) + "".join(capsys.readouterr())
    for word in ("Lena", "Fisk", "live", "Aldmoor", "Harrow", "Ana", "Castrol", "Sm"):
        assert word not in said


def test_a_header_that_is_known_is_told(tmp_path: Path) -> None:
    assert "Columns: frage, answer." in refused(tmp_path, "rows.csv", "frage,answer\nQ,A\n")
    message = refused(tmp_path, "rows.csv", "frage,antwort\nQ,A\n")
    assert "If the first line is a record, put a header above it" in message


def documented_formats() -> dict[str, str]:
    """The examples of the table in docs/own-data.md, by what they are examples of."""
    docs = Path(__file__).parents[2] / "docs" / "own-data.md"
    rows = re.findall(r"^\| (.+?) \| `(.+)` \|$", docs.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("kind", documented_formats())
def test_every_documented_format_is_read(tmp_path: Path, kind: str) -> None:
    example = documented_formats()[kind].replace("\u23ce", "\n")
    suffixes = re.findall(r"`(\.\w+)`", kind)
    records = load(tmp_path, f"rows{suffixes[0] if suffixes else ''}", example)
    assert pairs(records) == [("Where does Lena Fisk live?", "In Aldmoor.")]


def test_the_table_of_formats_is_found() -> None:
    assert len(documented_formats()) >= 12
