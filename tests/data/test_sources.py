import contextlib
import csv
import gzip
import io
import json
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from relearn.config import ColumnsConfig
from relearn.data.formats import read_rows
from relearn.data.records import Record, check_disjoint
from relearn.data.sources import DEMO_SETS, dataset_rows, load_records
from relearn.errors import UserError

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


def pairs(records: list[Record]) -> list[tuple[str, str]]:
    return [(record.question, record.answer) for record in records]


def refused(folder: Path, name: str, data: bytes | str) -> str:
    with pytest.raises(UserError) as caught:
        load(folder, name, data)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.mend
    assert str(folder / name) in message
    return message.replace(str(folder / name), name)


# Formats


@pytest.mark.parametrize(
    ("name", "data"),
    [
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
        ("rows", as_json(ROWS)),
        ("rows.txt", as_lines(ROWS)),
        ("rows", as_csv(ROWS)),
        ("rows", as_parquet(ROWS)),
        ("rows.v1", as_csv(ROWS, "\t")),
    ],
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
    ]:
        assert [row.fields for row in read_rows(data, name)] == rows, name


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".json", ".jsonl", ".csv", ".parquet", ".gz", ""]))
def test_any_bytes_give_rows_or_a_user_error(data: bytes, suffix: str) -> None:
    with contextlib.suppress(UserError):
        read_rows(data, f"rows{suffix}")


# Columns


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("text", "labels"),
        ("Prompt", "completion"),
        ("instruction", "output"),
        ("query", "response"),
    ],
)
def test_usual_names_are_found(tmp_path: Path, question: str, answer: str) -> None:
    (record,) = load(tmp_path, "rows.jsonl", as_lines([{question: "Q", answer: "A", "extra": 3}]))
    assert (record.question, record.answer) == ("Q", "A")


def test_optional_fields_are_found(tmp_path: Path) -> None:
    row = {"idx": 7, "question": "Q", "answer": "A", "Author": "Zoë", "paraphrased_question": "P"}
    (record,) = load(tmp_path, "r.jsonl", as_lines([{**row, "perturbed_answer": ["B", "C"]}]))
    assert record == Record(
        id="7",
        question="Q",
        answer="A",
        subject="Zoë",
        paraphrases=("P",),
        wrong_answers=("B", "C"),
    )


def test_empty_optional_cells_are_absent(tmp_path: Path) -> None:
    table = 'question,answer,id,subject,wrong_answers\nQ,A,,,\nR,B,x,Zoë,"[""C"", ""D""]"\n'
    first, second = load(tmp_path, "rows.csv", table)
    assert first == Record(id="forget-00001", question="Q", answer="A")
    assert (second.id, second.subject, second.wrong_answers) == ("x", "Zoë", ("C", "D"))


def test_columns_can_be_given(tmp_path: Path) -> None:
    columns = ColumnsConfig(question="Frage", answer="text", subject="wer")
    row = {"Frage": "Q", "text": "A", "question": "not this one", "wer": "Zoë"}
    (record,) = load(tmp_path, "rows.jsonl", as_lines([row]), columns)
    assert (record.question, record.answer, record.subject) == ("Q", "A", "Zoë")


def test_the_field_s_own_name_wins(tmp_path: Path) -> None:
    row = {"text": "context", "question": "Q", "answer": "A", "label": "gold"}
    assert pairs(load(tmp_path, "rows.jsonl", as_lines([row]))) == [("Q", "A")]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"frage": "Q", "answer": "A"}, "has no question column. Columns: frage, answer."),
        ({"question": "Q", "reply": "A"}, "--set data.columns.answer=NAME"),
        (
            {"instruction": "Q", "input": "x", "output": "A"},
            "several columns for the question: instruction, input",
        ),
        (
            {"question": "Q", "answer": "A", "author": "x", "name": "y"},
            "--set data.columns.subject=NAME",
        ),
    ],
)
def test_missing_and_ambiguous_columns(tmp_path: Path, row: dict[str, str], says: str) -> None:
    assert says in refused(tmp_path, "rows.jsonl", as_lines([row]))


def test_a_given_column_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no column 'q' \(data.columns.question\). Columns: a, b"):
        load(tmp_path, "rows.jsonl", as_lines([{"a": "Q", "b": "A"}]), ColumnsConfig(question="q"))


@pytest.mark.parametrize(
    "chat",
    [
        {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]},
        {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
    ],
)
def test_conversations_of_one_turn_are_read(tmp_path: Path, chat: dict[str, Any]) -> None:
    for name, data in (("r.jsonl", as_lines([chat])), ("r.parquet", as_parquet([chat]))):
        assert pairs(load(tmp_path, name, data)) == [("Q", "A")]


@pytest.mark.parametrize(
    "turns", [[], ["Q", "A"], [{"role": "user", "content": "Q"}] * 2, [{}] * 3]
)
def test_other_conversations_are_refused(tmp_path: Path, turns: list[Any]) -> None:
    good = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
    message = refused(tmp_path, "rows.jsonl", as_lines([good, {"messages": turns}]))
    assert message.startswith(
        "rows.jsonl line 2 field 'messages' is not one question and its answer"
    )


# Bad input


GOOD = '{"question": "Q", "answer": "A"}'


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("rows.jsonl", "", "rows.jsonl is empty."),
        ("rows.csv", " \n\n", "rows.csv is empty."),
        ("rows.json", "[]", "rows.json holds no records."),
        ("rows.csv", "question,answer\n", "rows.csv holds no records."),
        ("rows.parquet", as_parquet(ROWS)[:-9], "rows.parquet can't be read as Parquet"),
        ("rows.jsonl.gz", gzip.compress(as_lines(ROWS))[:-9], "damaged gzip file"),
        ("rows.jsonl", GOOD + "\n{oops\n", "rows.jsonl line 2 is not valid JSON: Expecting"),
        ("rows.jsonl", "{oops\n" + GOOD, "rows.jsonl line 1 is not valid JSON: Expecting"),
        ("rows.json", GOOD + '\n{"question": "Q"', "rows.json line 2 is not valid JSON"),
        ("rows.json", f"[\n{GOOD},\n{GOOD}\n{GOOD}]", "rows.json line 4: not valid JSON"),
        ("rows.json", '{\n"data": [\n{]}', "rows.json line 3: not valid JSON"),
        ("rows.json", "[" * 100_000, "rows.json: not valid JSON: nested too deep"),
        ("rows.jsonl", GOOD + "\n" + "[" * 100_000, "line 2 is not valid JSON: nested too deep"),
        ("rows.jsonl", GOOD + "\n" + "9" * 5000, "line 2 is not valid JSON: Exceeds"),
        ("rows.json", f'{{"train": [{GOOD}], "val": [{GOOD}]}}', "several lists: train, val"),
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
        ("rows.jsonl", '{"text": "Q", "labels": 3}', "line 1 field 'labels' is int, not text"),
        ("rows.jsonl", '{"text": "Q", "labels": null}', "line 1 field 'labels' is missing"),
        ("rows.jsonl", '{"text": ["Q"], "labels": "A"}', "line 1 field 'text' is list, not text"),
        (
            "rows.jsonl",
            '{"question": "\\ud800", "answer": "A"}',
            "field 'question' is no valid Uni",
        ),
        (
            "rows.jsonl",
            '{"question": "Q", "answer": "A", "perturbed_answer": ["B", 3]}',
            "line 1 field 'perturbed_answer[1]' is int, not text",
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
        ("rows.csv", "question,answer,answer\nQ,A,B\n", "two columns of one name"),
        ("rows.csv", "question,answer,perturbed_answer\nQ,A,['B']\n", "list that is not JSON"),
        ("rows.parquet", as_parquet([*ROWS, {"question": "Q"}]), "row 3 field 'answer' is missing"),
        ("rows.csv", "question,answer\nQ,A\nQ,é\n".encode("latin-1"), "not UTF-8 text (line 3)"),
        ("rows.csv", "question,answer\nQ,A\n".encode("utf-16"), "not UTF-8 text (line 1)"),
        ("rows.bin", b"{\0\1\2", "rows.bin is a binary file"),
        ("notes.txt", "Some notes\nand more\n", "notes.txt is no table and no JSON"),
    ],
)
def test_bad_input_is_named_with_its_place(
    tmp_path: Path, name: str, data: bytes | str, says: str
) -> None:
    assert says in refused(tmp_path, name, data)


def test_further_bad_records_are_counted(tmp_path: Path) -> None:
    rows = [{"question": "Q", "answer": answer} for answer in ("A", "", 3, None)]
    message = refused(tmp_path, "rows.jsonl", as_lines(rows))
    assert "line 2 field 'answer' is empty (2 more bad records)." in message


def test_messages_hold_no_private_text(tmp_path: Path) -> None:
    rows = '{"question": "SECRET", "answer": ["SECRET"]}\n{"question": "SECRET\n'
    assert "SECRET" not in refused(tmp_path, "rows.jsonl", rows)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for source in (
        tmp_path / "none.jsonl",
        "data/none.csv",
        "none",
        f"{tmp_path}/none",
        "x" * 9999,
    ):
        with pytest.raises(UserError, match="does not exist"):
            load_records(str(source))
    with pytest.raises(UserError, match="is a folder"):
        load_records(str(tmp_path))
    with pytest.raises(UserError, match="is no regular file"):
        load_records("/dev/null")


def test_a_record_that_stands_twice_is_kept(tmp_path: Path) -> None:
    assert len(load(tmp_path, "rows.jsonl", as_lines(ROWS + ROWS))) == 4


# The shipped sample


def test_demo_sets_are_disjoint_and_of_the_stated_size() -> None:
    sets = {name: load_records(f"demo:{name}", set_name=name) for name in DEMO_SETS}
    assert [len(records) for records in sets.values()] == [32, 32, 8, 8]
    assert sets["retain"][0].id == "retain-00001"
    for forget in ("forget", "forget_unseen"):
        for retain in ("retain", "retain_unseen"):
            check_disjoint(sets[forget], sets[retain])


def test_unknown_demo_set() -> None:
    with pytest.raises(UserError, match=r"demo:all. Known: demo:forget, demo:retain"):
        load_records("demo:all")


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("forget", "unlearn_train"),
        ("retain", "retention_train"),
        ("forget_unseen", "unlearn_val"),
        ("retain_unseen", "retention_val"),
    ],
)
def test_demo_is_cut_from_knowundo(data_files: Path, name: str, origin: str) -> None:
    authors = ("Evelyn Smith", "Chloe Dubois", "Michael O'Connor", "Li Wei")
    whole = pairs(load_records(str(data_files / "knowundo" / f"{origin}.json")))
    assert pairs(load_records(f"demo:{name}")) == [
        pair for pair in whole if any(author in pair[0] for author in authors)
    ]
    demo = resources.files("relearn.data") / "demo"
    assert (demo / "LICENSE").read_bytes() == (data_files / "knowundo/LICENSE").read_bytes()


# Real files


def check_published(file: Path, size: int, wrong_answers: int, paraphrases: int) -> None:
    records = load_records(str(file))
    assert len(records) == size
    assert {len(record.wrong_answers) for record in records} == {wrong_answers}
    assert {len(record.paraphrases) for record in records} == {paraphrases}


@pytest.mark.parametrize(
    ("file", "size", "wrong_answers", "paraphrases"),
    [
        ("knowundo/unlearn_train.json", 400, 0, 0),
        ("knowundo/retention_val.json", 108, 0, 0),
        ("tofu/forget10.json", 400, 0, 0),
        ("tofu/forget10_perturbed.json", 8, 5, 1),
        ("tofu/world_facts_perturbed.json", 5, 3, 0),
    ],
)
def test_published_files(
    data_files: Path, file: str, size: int, wrong_answers: int, paraphrases: int
) -> None:
    check_published(data_files / file, size, wrong_answers, paraphrases)


@pytest.mark.parametrize(
    ("file", "size", "wrong_answers", "paraphrases"),
    [
        ("knowundo_privacy/full.json", 1059, 0, 0),
        ("tofu/full.json", 4000, 0, 0),
        ("tofu/forget10_perturbed.json", 400, 5, 1),
        ("tofu/world_facts_perturbed.json", 117, 3, 0),
    ],
)
def test_whole_published_files(
    whole_data: Path, file: str, size: int, wrong_answers: int, paraphrases: int
) -> None:
    check_published(whole_data / file, size, wrong_answers, paraphrases)


def test_places_in_a_published_list_are_physical_lines(data_files: Path) -> None:
    data = (data_files / "knowundo/unlearn_train.json").read_bytes()
    lines = data.decode().split("\n")
    for row in read_rows(data, "unlearn_train.json"):
        assert json.dumps(row.fields["text"]) in lines[int(row.place.split()[1])]


@pytest.mark.parametrize(
    ("forget", "retain"),
    [
        ("knowundo/unlearn_train", "knowundo/retention_train"),
        ("knowundo/unlearn_val", "knowundo/retention_val"),
        ("knowundo/unlearn_train", "knowundo/retention_val"),
        ("tofu/forget10_perturbed", "tofu/retain_perturbed"),
    ],
)
def test_published_pairs_of_sets_are_disjoint(data_files: Path, forget: str, retain: str) -> None:
    check_disjoint(
        *(
            load_records(str(data_files / f"{name}.json"), set_name=name)
            for name in (forget, retain)
        )
    )


@pytest.mark.parametrize(
    ("forget", "retain"),
    [
        ("forget01", "retain99"),
        ("forget05", "retain95"),
        ("forget10", "retain90"),
        ("forget10_perturbed", "retain_perturbed"),
    ],
)
def test_whole_published_pairs_of_sets_are_disjoint(
    whole_data: Path, forget: str, retain: str
) -> None:
    sets = (load_records(str(whole_data / f"tofu/{name}.json")) for name in (forget, retain))
    check_disjoint(*sets)


def test_a_full_set_is_not_disjoint(data_files: Path) -> None:
    forget, retain = (
        load_records(str(data_files / f"knowundo/{name}_train.json"))
        for name in ("unlearn", "retention")
    )
    with pytest.raises(UserError, match=r"\(400 such records\)"):
        check_disjoint(forget, retain + forget)


def test_the_published_full_set_is_not_disjoint(whole_data: Path) -> None:
    forget, full = (
        load_records(str(whole_data / f"tofu/{name}.json")) for name in ("forget10", "full")
    )
    with pytest.raises(UserError, match=r"\(400 such records\)"):
        check_disjoint(forget, full)


def test_text_that_is_no_json_in_a_published_file(data_files: Path) -> None:
    with pytest.raises(UserError, match=r"line 1 is not valid JSON.*\(99 more bad records\)"):
        load_records(str(data_files / "tofu/idontknow.jsonl"))


# Hub


@pytest.mark.parametrize(
    "source", ["tofu:forget10", "knowundo:privacy:unlearn:train", "nobody/nothing:config:split"]
)
def test_an_unreachable_hub_is_told_quickly_and_quietly(
    source: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    start = time.monotonic()
    with pytest.raises(UserError, match="no hub can be reached"):
        load_records(source)
    assert time.monotonic() - start < 2.5
    assert capfd.readouterr() == ("", "")


def write_dataset(folder: Path) -> str:
    """Lay out a dataset as a hub holds it, with KnowUnDo's configurations, splits and columns."""
    configs = [
        {"config_name": "privacy", "data_files": [{"split": "unlearn", "path": "unlearn.json"}]},
        {
            "config_name": "flat",
            "data_files": [
                {"split": "one", "path": "flat.jsonl"},
                {"split": "two", "path": "flat.jsonl"},
            ],
        },
    ]
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n")
    (folder / "unlearn.json").write_text(json.dumps({"train": ROWS, "val": ROWS[:1]}))
    (folder / "flat.jsonl").write_bytes(as_lines(ROWS))
    return str(folder)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "dataset").mkdir()
    return write_dataset(tmp_path / "dataset")


def test_dataset_rows(dataset: str) -> None:
    assert [row.fields for row in dataset_rows(dataset, "flat", "one", None)] == ROWS
    rows = dataset_rows(dataset, "privacy", None, "train")
    assert [(row.place, row.fields) for row in rows] == [
        ("row 1 train[0]", ROWS[0]),
        ("row 1 train[1]", ROWS[1]),
    ]


@pytest.mark.parametrize(
    ("config", "split", "column", "says"),
    [
        (None, None, None, "Config name is missing"),
        ("none", None, None, "none"),
        ("flat", None, None, "several splits: one, two"),
        ("flat", "three", None, "three"),
        ("privacy", "unlearn", "test", "no lists in a column 'test'. Columns: train, val."),
    ],
)
def test_what_a_dataset_lacks(
    dataset: str, config: str | None, split: str | None, column: str | None, says: str
) -> None:
    with pytest.raises(UserError) as caught:
        dataset_rows(dataset, config, split, column)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
