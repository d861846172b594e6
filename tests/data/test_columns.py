import contextlib
import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import pytest

from helpers.record_files import ROWS, as_csv, as_lines, as_parquet, load, pairs, refused
from relearn.base.errors import UserError
from relearn.config import ColumnsConfig
from relearn.data.records import Record
from relearn.data.sources import load_records


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
    row = {
        "idx": 7,
        "question": "Zoë?",
        "answer": "A",
        "Author": "Zoë",
        "paraphrased_question": "P",
    }
    (record,) = load(tmp_path, "r.jsonl", as_lines([{**row, "perturbed_answer": ["B", "C"]}]))
    assert record == Record(
        id="7",
        question="Zoë?",
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
            {"instruction": "Q", "prompt": "x", "output": "A"},
            "several columns for the question: instruction, prompt",
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


def test_a_record_that_stands_twice_is_kept(tmp_path: Path) -> None:
    assert len(load(tmp_path, "rows.jsonl", as_lines(ROWS + ROWS))) == 4


def test_one_value_in_many_types_is_read_as_its_text(tmp_path: Path) -> None:
    text = """[{"question": "Q", "answer": 42}, {"question": "Q", "answer": 81.50},
        {"question": "Q", "answer": -1e6}, {"question": "Q", "answer": true},
        {"question": "Q", "answer": 12345678901234567890123}, {"question": "Q", "answer": "007"}]"""
    answers = [record.answer for record in load(tmp_path, "rows.json", text)]
    assert answers == ["42", "81.50", "-1e6", "true", "12345678901234567890123", "007"]
    values: list[Any] = [
        42, 81.5, True, Decimal("3.10"), datetime.date(1983, 5, 2), b"Zo\xc3\xab",
        datetime.datetime(1983, 5, 2), datetime.datetime(1983, 5, 2, 7, 30),
    ]  # fmt: skip
    read = [
        load(tmp_path, "r.parquet", as_parquet([{"question": "Q", "answer": v}])) for v in values
    ]
    assert [records[0].answer for records in read] == [
        "42", "81.5", "true", "3.10", "1983-05-02", "Zo\u00eb", "1983-05-02", "1983-05-02 07:30:00",
    ]  # fmt: skip
    assert pairs(load(tmp_path, "r.csv", "question,answer\nQ,081\n")) == [("Q", "081")]


def test_a_column_of_numbers_with_gaps_is_read_without_points(tmp_path: Path) -> None:
    table = pandas.DataFrame(
        {"id": [7.0, None], "question": ["Q", "R"], "answer": [42.0, 81.5], "subject": [None, None]}
    )
    table["wrong_answers"] = pandas.array([0.1, 41.0], dtype="float32")
    table.to_parquet(tmp_path / "rows.parquet")
    first, second = load_records(str(tmp_path / "rows.parquet"))
    assert (first.id, first.answer, first.wrong_answers) == ("7", "42", ("0.1",))
    assert (second.id, second.answer, second.wrong_answers) == ("forget-00002", "81.5", ("41",))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("null", "is missing"),
        ("NaN", "is missing"),
        ('""', "is empty"),
        ("[]", "is missing"),
        ("[null]", "is missing"),
        ("Infinity", "is an infinite number"),
        ('{"a": 1}', "is an object, not text"),
        ("[[1]]", "is a list of lists"),
        ('{"text": []}', "is missing"),
    ],
)
def test_what_is_no_answer_is_named_with_its_place(tmp_path: Path, answer: str, says: str) -> None:
    lines = f'{{"question": "Q", "answer": "A"}}\n{{"question": "Q", "answer": {answer}}}\n'
    assert f"rows.jsonl line 2 field 'answer' {says}" in refused(tmp_path, "rows.jsonl", lines)


@pytest.mark.parametrize("depth", [100, 300, 900, 990, 5000])
def test_a_deep_answer_is_read_or_refused(tmp_path: Path, depth: int) -> None:
    for opens, closes in (('{"text":', "}"), ("[", "]")):
        line = f'{{"question": "Q", "answer": {opens * depth}1{closes * depth}}}'
        with contextlib.suppress(UserError):
            assert pairs(load(tmp_path, "rows.jsonl", line)) == [("Q", "1")]


def test_gaps_in_parquet_are_named_with_their_place(tmp_path: Path) -> None:
    rows = [{"question": "Q", "answer": 1.5}, {"question": "Q", "answer": float("nan")}]
    assert "row 2 field 'answer' is missing" in refused(tmp_path, "r.parquet", as_parquet(rows))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_of_several_answers_the_first_is_taken_and_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    squad = {"text": ["A", "B", "A"], "answer_start": [3, 4, 3]}
    rows: list[Any] = [
        {"question": "Q", "context": "PRIVATE", "answers": squad},
        {"question": "Q", "answers": {"text": ["A", "A"], "answer_start": [3, 3]}},
        {"question": "Q", "answers": [{"text": "A", "answer_start": 3}]},
        {"question": "Q", "answers": {"value": "A", "aliases": ["B"]}},
        {"question": "Q", "answers": ["A", 7]},
        {"question": "Q", "answers": "A"},
    ]
    assert pairs(load(tmp_path, "several.jsonl", as_lines(rows))) == [("Q", "A")] * 6
    told = said(capsys)
    assert "2 records have several different answers, of which the first is used" in told
    assert "'context' is not read" in told
    assert "PRIVATE" not in told
    one = as_parquet([{"question": "Q", "answers": squad}])
    assert pairs(load(tmp_path, "several.parquet", one)) == [("Q", "A")]


def test_a_nested_field_can_be_named(tmp_path: Path) -> None:
    rows = [{"question": "Q", "meta": {"reply": {"long": "A"}}}, {"question": "Q", "meta": None}]
    columns = ColumnsConfig(answer="meta.reply.long")
    assert pairs(load(tmp_path, "rows.jsonl", as_lines(rows[:1]), columns)) == [("Q", "A")]
    with pytest.raises(UserError, match=r"line 2 field 'meta\.reply\.long' is missing"):
        load(tmp_path, "rows.jsonl", as_lines(rows), columns)


# Alpaca


def test_alpacas_question_is_instruction_and_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"instruction": "Answer.", "input": "Who is she?", "output": "A", "text": "whole"},
        {"instruction": "Who is he?", "input": "", "output": "B", "text": "whole"},
        {"instruction": "Who are they?", "input": "<noinput>", "output": "C", "text": "whole"},
        {"instruction": "", "input": "Who am I?", "output": "D", "text": "whole"},
    ]
    read = [
        ("Answer.\nWho is she?", "A"), ("Who is he?", "B"),
        ("Who are they?", "C"), ("Who am I?", "D"),
    ]  # fmt: skip
    assert pairs(load(tmp_path, "alpaca.jsonl", as_lines(rows))) == read
    assert said(capsys) == ""
    columns = ColumnsConfig(question="instruction")
    assert pairs(load(tmp_path, "alpaca.jsonl", as_lines(rows), columns)) == read
    assert "the question is 'instruction' followed by 'input'" in said(capsys)


def test_an_alpaca_record_with_earlier_turns_is_refused(tmp_path: Path) -> None:
    row = {"instruction": "Q", "input": "", "output": "A", "system": "S", "history": []}
    assert pairs(load(tmp_path, "alpaca.jsonl", as_lines([row]))) == [("Q", "A")]
    message = refused(tmp_path, "alpaca.jsonl", as_lines([row | {"history": [["P", "B"]]}]))
    assert "line 1 field 'history' holds earlier turns, which are not read" in message


# Columns that mean something else


def test_less_usual_names_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = as_lines([{"text": "Q", "labels": "PRIVATE"}])
    for _ in range(2):
        load(tmp_path, "guessed.jsonl", rows)
    told = said(capsys)
    assert told.count("'text' as the question and 'labels' as the answer") == 1
    assert "PRIVATE" not in told
    load(tmp_path, "sure.jsonl", as_lines([{"prompt": "Q", "completion": "A"}]))
    load_records("demo:forget")
    assert said(capsys) == ""


def test_a_guessed_subject_that_no_question_names_is_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"name": "row 7", "question": "Where does Lena Fisk live?", "answer": "A"},
        {"name": "lena  fisk", "question": "Who is Lena Fisk?", "answer": "B"},
    ]
    records = load(tmp_path, "some.jsonl", as_lines(rows))
    assert [record.subject for record in records] == [None, "lena  fisk"]
    assert "'name' as the subject of the questions, except in 1 that do not name it" in said(capsys)
    (record,) = load(tmp_path, "none.jsonl", as_lines(rows[:1]))
    assert record.subject is None
    assert "'name' is not taken as the subject: no question names it" in said(capsys)
    (record,) = load(tmp_path, "own.jsonl", as_lines(rows[:1]), ColumnsConfig(subject="name"))
    assert record.subject == "row 7"
    told = said(capsys)
    assert "1 record has a subject (column 'name') that the question does not name" in told


def test_a_guessed_id_that_repeats_is_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"index": 0, "question": q, "answer": "A"} for q in ("Q", "R")]
    records = load(tmp_path, "chunks.jsonl", as_lines(rows))
    assert [record.id for record in records] == ["forget-00001", "forget-00002"]
    assert "'index' repeats values and is not taken as the id" in said(capsys)


@pytest.mark.parametrize(
    "rows",
    [
        [{"text": f"The film {i} was dull.", "label": i % 2} for i in range(6)],
        [{"text": f"The film {i} was dull.", "label": bool(i % 2)} for i in range(6)],
        [{"text": f"The film {i} was dull.", "label": ("good", "bad")[i % 2]} for i in range(6)],
        [{"question": f"Is film {i} dull?", "label": i % 2} for i in range(6)],
        [{"text": "The film was dull.", "label": 0}],
    ],
)
def test_classes_are_no_answers(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    tables = (("r.jsonl", as_lines(rows)), ("r.parquet", as_parquet(rows)), ("r.csv", as_csv(rows)))
    for name, data in tables:
        if name == "r.csv" and isinstance(rows[0]["label"], bool):
            continue  # no longer a truth value, but two words
        message = refused(tmp_path, name, data)
        assert "looks like a classification set: column 'label' contains classes" in message
    given = load(tmp_path, "r.jsonl", as_lines(rows), ColumnsConfig(answer="label"))
    assert len(given) == len(rows)


def test_short_answers_in_a_column_of_labels_are_answers(tmp_path: Path) -> None:
    rows: list[Any] = [{"text": f"How old is person {i}?", "labels": 40 + i} for i in range(6)]
    assert load(tmp_path, "rows.jsonl", as_lines(rows))[5].answer == "45"
    rows = [{"text": f"Is person {i} old?", "labels": ("Yes", "No")[i % 2]} for i in range(6)]
    assert load(tmp_path, "rows.jsonl", as_lines(rows))[5].answer == "No"
