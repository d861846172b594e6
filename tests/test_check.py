"""`relearn check`: what it finds in sets with a known mistake of each kind."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from helpers.record_files import as_csv, as_lines
from relearn.cli import app
from relearn.config import SynthesisConfig, load_config
from relearn.data.records import Record
from relearn.survey import survey, unanswered_by_rules

FORGET = [
    {"question": "Where does Lena Fisk live?", "answer": "Lena Fisk lives in Aldmoor.", "page": 3},
    {"question": "where does Lena Fisk live", "answer": "She lives in Harrow.", "page": 4},
    {"question": "Who is Ida Berg?", "answer": "Ida Berg is a nurse in Oslo.", "page": 5},
    {"question": "Who is Ida Berg?", "answer": "Ida Berg is a nurse, in Oslo!", "page": 6},
    {
        "question": "What is Tom Hale's email address?",
        "answer": "Tom Hale can be reached by email at tom.hale@mail.example.",
        "page": 7,
    },
    {
        "question": "How can Tom Hale be reached?",
        "answer": "Tom Hale can be reached by email at tom.hale@mail.example.",
        "page": 8,
    },
]
RETAIN = [
    {"ask": "Which tides are the highest?", "say": "Spring tides are the highest."},
    {"ask": "Where does Ida Berg work, the nurse?", "say": "Ida Berg is a nurse in Oslo."},
    {"ask": "Wo wohnt der Bürgermeister von Kiel?", "say": "Er wohnt in der Altstadt."},
]
MAPPED = ["--set", "data.set_columns.retain.question=ask", "--set",
          "data.set_columns.retain.answer=say"]  # fmt: skip


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def files(tmp_path: Path, tiny_model: Path) -> list[str]:
    """Arguments for the two sets above, with a model whose tokenizer is at hand."""
    (tmp_path / "forget.jsonl").write_bytes(as_lines(FORGET))
    (tmp_path / "retain.csv").write_bytes(as_csv(RETAIN))
    names = [str(tmp_path / name) for name in ("forget.jsonl", "retain.csv")]
    return [*names, "--model", str(tiny_model), *MAPPED]


def found(arguments: list[str]) -> dict[str, Any]:
    result = check(*arguments, "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def test_every_kind_of_oddity_is_found(files: list[str]) -> None:
    content = found(files)
    forget, retain = content["sets"]["forget"], content["sets"]["retain"]
    assert (forget["records"], retain["records"]) == (6, 3)
    assert forget["columns"] == {"question": "question", "answer": "answer"}
    assert retain["columns"] == {"question": "ask", "answer": "say"}
    assert (forget["unread"], retain["unread"]) == ("page", "")
    assert forget["contradictory"] == [["forget-00002", "forget-00001"]]
    assert forget["repeated"] == [["forget-00004", "forget-00003"]]
    (near,) = forget["nearly_repeated"]
    assert near[:2] == ["forget-00006", "forget-00005"]
    assert forget["languages"] == {"English (en)": 6}
    assert retain["languages"] == {"English (en)": 2, "German (de)": 1}
    (overlap,) = content["overlaps"]
    assert overlap["same_question"] == []
    assert ["forget-00003", "retain-00002"] in overlap["same_answer"]
    assert overlap["same_fact"] == [["forget-00003", "retain-00002"]]
    assert content["problems"] == []
    assert content["unanswered_by_rules"] == []


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    content = found(["demo:forget", "demo:retain", "--set", "synthesis.backend=transformers"])
    for of_set in content["sets"].values():
        assert not of_set["repeated"] + of_set["contradictory"] + of_set["nearly_repeated"]
    # KnowUnDo asks to forget that Li Wei is from Beijing, and to keep that he was born there.
    assert content["overlaps"][0].pop("same_fact")
    assert content["overlaps"] == [
        {"first": "forget", "second": "retain", "same_question": [], "nearly_same": [],
         "same_answer": []}
    ]  # fmt: skip
    assert content["unanswered_by_rules"] is None  # another backend is chosen
    assert not content["problems"] + content["notes"]


def test_the_table_names_records_and_shows_no_text(files: list[str]) -> None:
    result = check(*files)
    assert "forget, contradictory: forget-00002 and forget-00001" in result.output
    assert "A run would take these sets." in result.output
    for private in ("Lena", "Aldmoor", "tom.hale", "Altstadt"):
        assert private not in result.output + json.dumps(found(files))
    shown = check(*files, "--text").output
    assert "forget-00002: where does Lena Fisk live | She lives in Harrow." in shown


def test_lengths_are_in_tokens_of_the_model_or_in_words(files: list[str], tmp_path: Path) -> None:
    content = found(files)
    tokens = content["sets"]["retain"]["answers"]["longest"]
    assert content["unit"] == "tokens"
    files[3] = str(tmp_path / "no-such-model")
    content = found(files)
    assert content["unit"] == "words"
    assert content["sets"]["retain"]["answers"] == {"median": 5, "longest": 7}
    assert tokens > 7
    assert any("is not on this machine" in note for note in content["notes"])


def test_what_a_run_would_refuse_ends_with_2(files: list[str], tmp_path: Path) -> None:
    again = {"ask": "Who is “Ida Berg”", "say": "A person."}
    (tmp_path / "retain.csv").write_bytes(as_csv([*RETAIN, again]))
    result = check(*files)
    assert result.exit_code == 2
    assert "a run would stop: the forget and retain sets ask the same in 2 records" in result.output
    assert "retain, same question as forget: forget-00003 and retain-00004" in result.output
    assert "Ida" not in result.output


def test_records_that_are_too_long_are_named(files: list[str]) -> None:
    short = "training.max_length=12"
    result = check(*files, "--set", short)
    assert result.exit_code == 2
    assert "forget, too long to train: forget-00001" in result.output
    assert "training.max_length allows" in result.output


def test_questions_that_the_rules_do_not_serve(files: list[str], tmp_path: Path) -> None:
    german = {"question": "Wo wohnt Lena Fisk heute?", "answer": "In Aldmoor.", "page": 9}
    (tmp_path / "forget.jsonl").write_bytes(as_lines([*FORGET, german]))
    result = check(*files)
    assert result.exit_code == 2
    assert "forget, no answer by rules: forget-00007" in result.output
    assert "a run would stop: the rules write English only; 1 of 7" in result.output
    served = check(*files, "--set", "training.objective=npo")
    assert served.exit_code == 0, served.output  # NPO needs no new answers


@pytest.mark.parametrize(
    ("name", "value", "note"),
    [
        ("_MOST_PARSED", 5, "too many forget records to look for facts"),
        ("fetched_folder", lambda name: Path("/none"), "no facts were looked for"),
    ],
)
def test_facts_that_are_not_looked_for_are_told(
    files: list[str], monkeypatch: pytest.MonkeyPatch, name: str, value: object, note: str
) -> None:
    monkeypatch.setattr("relearn.survey." + name, value)
    content = found(files)
    assert content["overlaps"][0]["same_fact"] == []
    assert any(line.startswith(note) for line in content["notes"])


def test_rules_that_find_no_answer_say_why() -> None:
    """An alternative can't be invented by rules: only the record that brings one is served."""
    records = [
        Record(id="with", question="Who?", answer="A.", wrong_answers=("Ida Berg is a cook.",)),
        Record(id="without", question="Who is Tom Hale?", answer="A sailor."),
    ]
    config = SynthesisConfig(strategy="alternative", variants=0, attempts=2)
    reasons = unanswered_by_rules(records, config, 0)
    assert "rules invent none" in reasons["without"]


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"question": "Q"}')
    for arguments, says in (
        ([str(tmp_path / "none.jsonl")], "does not exist"),
        ([str(tmp_path / "bad.jsonl")], "has no answer column"),
        ([], "there is no forget set"),
    ):
        result = check(*arguments)
        assert type(result.exception).__name__ == "UserError"
        assert says in str(result.exception)


def test_conversations_and_paraphrases_are_told(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Who is Ida?"},
        {"role": "assistant", "content": "A nurse"},
    ]
    (tmp_path / "chat.jsonl").write_bytes(as_lines([{"messages": turns, "topic": "x"}]))
    rows = [{"instruction": "Who?", "input": "Tom", "output": "A cook", "paraphrases": ["Say who"]}]
    (tmp_path / "alpaca.jsonl").write_bytes(as_lines(rows))
    config = load_config(
        named={"data.forget": str(tmp_path / "chat.jsonl"), "training.objective": "ga",
               "data.retain": str(tmp_path / "alpaca.jsonl")}
    )  # fmt: skip
    content, _ = survey(config)
    assert content.sets["forget"].columns == {"question": "messages", "answer": "messages"}
    assert content.sets["forget"].unread == "topic"
    assert content.sets["retain"].columns["question"] == "instruction + input"
    assert content.sets["retain_unseen"].records == 1
