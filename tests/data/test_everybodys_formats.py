"""One small file in the shape of each kind of data set that people have."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.record_files import as_csv, as_json, as_lines, as_parquet, load, pairs, refused
from relearn.base.errors import UserError
from relearn.config import DataConfig, ModelConfig
from relearn.data import sources
from relearn.data.sources import load_records, load_sets

FACTS = [("Where does Lena Fisk live?", "In Aldmoor."), ("Who is Ida Berg?", "A nurse.")]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def share(question: str, answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


SYSTEM = {"role": "system", "content": "Be brief."}
SHAPES: dict[str, Any] = {
    "OpenAI": lambda q, a: {"messages": [user(q), assistant(a)]},
    "OpenAI, with a system message": lambda q, a: {"messages": [SYSTEM, user(q), assistant(a)]},
    "TRL": lambda q, a: {"prompt": q, "completion": f" {a}"},
    "TRL, conversational": lambda q, a: {"prompt": [user(q)], "completion": [assistant(a)]},
    "TRL, preferences": lambda q, a: {"prompt": q, "chosen": a, "rejected": "At sea."},
    "TRL, conversational preferences": lambda q, a: {
        "prompt": [user(q)], "chosen": [assistant(a)], "rejected": [assistant("At sea.")],
    },
    "TRL, implicit prompt": lambda q, a: {
        "chosen": [user(q), assistant(a)], "rejected": [user(q), assistant("At sea.")],
    },
    "Alpaca": lambda q, a: {"instruction": q, "input": "", "output": a},
    "Alpaca, with its prompt": lambda q, a: {
        "instruction": q, "input": "", "output": a, "text": f"Below is … {q}",
    },
    "ShareGPT": lambda q, a: {"id": q[:9], "conversations": share(q, a)},
    "Dolly": lambda q, a: {"instruction": q, "context": "", "response": a, "category": "open_qa"},
    "SQuAD, as rows": lambda q, a: {
        "context": "…", "question": q, "answers": {"text": [a], "answer_start": [0]},
    },
    "answers as objects": lambda q, a: {"question": q, "answers": [{"text": a, "answer_start": 0}]},
    "TriviaQA": lambda q, a: {"question": q, "answer": {"value": a, "aliases": ["x", "y"]}},
    "Natural Questions": lambda q, a: {"question": q, "answer": [a]},
    "TruthfulQA": lambda q, a: {"question": q, "best_answer": a, "incorrect_answers": ["No.", "B"]},
    "KnowUnDo": lambda q, a: {"text": q, "labels": a},
    "TOFU": lambda q, a: {"question": q, "answer": a, "perturbed_answer": ["At sea."]},
    "RWKU": lambda q, a: {"query": q, "answer": a, "level": "1", "type": "simple"},
    "LUME": lambda q, a: {"id": q[:9], "input": q, "output": a, "task": "Task1", "split": "forget"},
    "MUSE, verbatim": lambda q, a: {"prompt": q, "gt": a},
    "FLAN": lambda q, a: {"inputs": q, "targets": a},
    "speakers": lambda q, a: {"user": q, "assistant": a},
    "letters": lambda q, a: {"Q": q, "A": a},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_records(tmp_path: Path, shape: str) -> None:
    rows = [SHAPES[shape](question, answer) for question, answer in FACTS]
    for name, data in (
        ("rows.jsonl", as_lines(rows)), ("rows.json", as_json(rows)),
        ("rows.parquet", as_parquet(rows)),
    ):  # fmt: skip
        assert pairs(load(tmp_path, name, data)) == FACTS, name


def test_wrong_answers_that_a_set_brings_are_read(tmp_path: Path) -> None:
    rows = [SHAPES["TruthfulQA"](*FACTS[0])]
    (record,) = load(tmp_path, "rows.json", as_json(rows))
    assert record.wrong_answers == ("No.", "B")


def squad(**of_second: Any) -> dict[str, Any]:
    (q1, a1), (q2, a2) = FACTS
    first = {"id": "1", "question": q1, "answers": [{"text": a1, "answer_start": 3}]}
    second = {"id": "2", "question": q2, "answers": [{"text": a2, "answer_start": 3}]} | of_second
    paragraphs = [{"context": "…", "qas": [first]}, {"context": "…", "qas": [second]}]
    return {"version": "v2.0", "data": [{"title": "Aldmoor", "paragraphs": paragraphs}]}


@pytest.mark.parametrize(
    "content", [squad(), squad()["data"], squad()["data"][0], squad()["data"][0]["paragraphs"]]
)
def test_squad_s_own_file(tmp_path: Path, content: Any) -> None:
    records = load(tmp_path, "train.json", as_json(content))
    assert pairs(records) == FACTS
    assert [record.id for record in records] == ["1", "2"]


def test_what_is_wrong_in_squad_s_file_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(tmp_path, "train.json", as_json(squad(question=" ")))
    assert "data[0] paragraphs[1] qas[0] field 'question' is empty" in message
    records = load(tmp_path, "train.json", as_json(squad(is_impossible=True, answers=[])))
    assert pairs(records) == FACTS[:1]
    assert "have no answer (is_impossible) are left out: 1" in capsys.readouterr().err


def test_two_conversations_in_one_row_are_refused(tmp_path: Path) -> None:
    row = {"before": [user("Q"), assistant("A")], "after": [user("Q"), assistant("B")]}
    message = refused(tmp_path, "rows.jsonl", as_lines([row]))
    assert "field 'after' is a second conversation" in message


def test_choices_are_no_answers(tmp_path: Path) -> None:
    message = refused(tmp_path, "rows.csv", "question,a,b,right\nWhere?,Here,There,b\n")
    assert "is multiple choice: its columns a, b, … are choices" in message


def test_plain_text_is_refused_with_what_to_do(tmp_path: Path) -> None:
    message = refused(tmp_path, "rows.jsonl", as_lines([{"text": "Lena lives in Aldmoor."}]))
    assert message.startswith("rows.jsonl holds plain text, not questions and answers. Write")


# Longer conversations


def conversation(system: bool = False) -> list[dict[str, str]]:
    turns = [turn for q, a in FACTS for turn in (user(q), assistant(a))]
    return [SYSTEM, *turns] if system else turns


def load_split(file: Path) -> tuple[list[tuple[str, str]], list[str], str | None]:
    sets, model = load_sets({"forget": str(file)}, DataConfig(split_turns=True), ModelConfig())
    return pairs(sets["forget"]), [record.id for record in sets["forget"]], model.system


@pytest.mark.parametrize("system", [False, True])
def test_each_turn_can_be_a_record(tmp_path: Path, system: bool) -> None:
    file = tmp_path / "chats.jsonl"
    single = {"id": "b", "messages": [*([SYSTEM] if system else []), user("Q"), assistant("A")]}
    file.write_bytes(as_lines([{"id": "a", "messages": conversation(system)}, single]))
    found, ids, message = load_split(file)
    assert found == [*FACTS, ("Q", "A")]
    assert ids == ["a-turn-1", "a-turn-2", "b"]
    assert message == ("Be brief." if system else None)
    with pytest.raises(UserError, match=r"data\.split_turns=true"):
        load_records(str(file))


def test_turns_that_do_not_alternate_are_refused_even_then(tmp_path: Path) -> None:
    for turns in (conversation()[:-1], [*conversation(), assistant("B")], [SYSTEM] * 2):
        file = tmp_path / "chats.jsonl"
        file.write_bytes(as_lines([{"messages": turns}]))
        with pytest.raises(UserError, match="line 1 field 'messages'"):
            load_split(file)


# One file for several sets, and standard input

MIXED = [
    {"question": q, "answer": a, "set": s}
    for (q, a), s in zip([*FACTS, ("Why?", "So.")], ("forget", "Retain ", "retain"), strict=True)
]


def test_a_column_says_which_set_a_record_belongs_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("m.csv", as_csv(MIXED)), ("m.jsonl", as_lines(MIXED))):
        file = tmp_path / name
        file.write_bytes(data)
        named = {"forget": f"{file}#set=forget", "retain": f"{file}#set=retain"}
        sets, _ = load_sets(named, DataConfig(), ModelConfig())
        assert pairs(sets["forget"]) == FACTS[:1]
        assert pairs(sets["retain"]) == [FACTS[1], ("Why?", "So.")]
        assert f"{name}: set=forget: 1 of 3 records" in capsys.readouterr().err


def test_truth_values_and_numbers_tell_sets_apart(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    file.write_bytes(as_lines([row | {"private": row["set"] == "forget"} for row in MIXED]))
    assert pairs(load_records(f"{file}#private=true")) == FACTS[:1]
    file.write_bytes(as_lines([row | {"private": int(row["set"] == "forget")} for row in MIXED]))
    assert len(load_records(f"{file}#private=0")) == 2


def test_what_does_not_say_where_it_belongs(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    for rows, part, says in (
        (MIXED, "#part=forget", "has no column 'part'. Columns: question, answer, set."),
        (MIXED, "#set=forgett", "'forgett' in column 'set'. It has: forget, retain."),
        (MIXED, "#answer=x", "'x' in column 'answer'. Check the value."),
        ([*MIXED, {"question": "Q", "answer": "A"}], "#set=forget", "line 4 has nothing in column"),
        ([{**MIXED[0], "set": ["forget"]}], "#set=forget", "line 1 field 'set' is a list"),
    ):
        file.write_bytes(as_lines(rows))
        with pytest.raises(UserError) as caught:
            load_records(f"{file}{part}")
        assert says in str(caught.value)
        assert "Aldmoor" not in str(caught.value)


def test_a_bad_row_is_told_in_whichever_set(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    file.write_bytes(as_lines(MIXED) + b"{oops\n")
    for part in ("forget", "retain"):
        with pytest.raises(UserError, match="line 4 is not valid JSON"):
            load_records(f"{file}#set={part}")


def test_a_file_may_have_the_name_of_a_part(tmp_path: Path) -> None:
    file = tmp_path / "a#set=forget"
    file.write_bytes(as_lines(MIXED))
    assert len(load_records(str(file))) == 3


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that pipes bytes into the process."""
    sources._standard_input.cache_clear()

    def pipe(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    yield pipe
    sources._standard_input.cache_clear()


@pytest.mark.parametrize("data", [as_lines(MIXED), as_csv(MIXED), as_parquet(MIXED)])
def test_standard_input_is_read_once_for_all_its_sets(piped: Any, data: bytes) -> None:
    piped(data)
    sets, _ = load_sets(
        {"forget": "-#set=forget", "retain": "-#set=retain"}, DataConfig(), ModelConfig()
    )
    assert [len(records) for records in sets.values()] == [1, 2]


def test_what_is_wrong_with_standard_input(piped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(json.dumps({"question": "Q"}).encode())
    with pytest.raises(UserError, match=r"^standard input has no answer column"):
        load_records("-")
    sources._standard_input.cache_clear()
    piped(b"")
    with pytest.raises(UserError, match=r"^standard input is empty"):
        load_records("-")
    sources._standard_input.cache_clear()
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(UserError, match="that is a terminal"):
        load_records("-")
