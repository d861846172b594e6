import json
from pathlib import Path
from typing import Any

import pytest

from helpers.record_files import as_csv, as_lines, as_parquet, load, pairs, refused
from relearn.config import ColumnsConfig


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def parts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


SYSTEM = {"role": "system", "content": "S"}


@pytest.mark.parametrize(
    "chat",
    [
        {"messages": [user("Q"), assistant("A")]},
        {"messages": [SYSTEM, user("Q"), assistant("A")], "id": "x"},
        {"messages": [{"role": "developer", "content": "S"}, user("Q"), assistant("A")]},
        {"messages": [user(parts("Q")), assistant(parts("", "A"))]},
        {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
        {
            "conversations": [
                {"from": "system", "value": "S"},
                {"from": "human", "value": "Q"},
                {"from": "gpt", "value": "A"},
            ]
        },
        {"prompt": [user("Q")], "completion": [assistant("A")]},
        {"prompt": [SYSTEM, user("Q")], "completion": [assistant("A")]},
        {"prompt": "Q", "completion": [assistant("A")]},
        {"prompt": "other", "messages": [user("Q"), assistant("A")], "answer": "other"},
    ],
)
def test_one_question_and_its_answer_are_read(tmp_path: Path, chat: dict[str, Any]) -> None:
    for name, data in (("r.jsonl", as_lines([chat])), ("r.parquet", as_parquet([chat]))):
        assert pairs(load(tmp_path, name, data)) == [("Q", "A")]


def test_a_table_may_hold_a_conversation_as_json(tmp_path: Path) -> None:
    rows = [{"messages": json.dumps([user("Q"), assistant("A")])}]
    assert pairs(load(tmp_path, "r.csv", as_csv(rows))) == [("Q", "A")]


def test_a_number_may_be_what_is_said(tmp_path: Path) -> None:
    rows = [{"messages": [user("How old?"), assistant(42)]}]
    assert pairs(load(tmp_path, "r.jsonl", as_lines(rows))) == [("How old?", "42")]


def test_columns_that_are_named_win_over_the_conversation(tmp_path: Path) -> None:
    rows = [{"ask": "Q", "say": "A", "messages": [user("x"), user("y"), assistant("z")]}]
    columns = ColumnsConfig(question="ask", answer="say")
    assert pairs(load(tmp_path, "r.jsonl", as_lines(rows), columns)) == [("Q", "A")]


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([], "it holds no message"),
        (["Q", "A"], "a message has no role and content"),
        ([user("Q")] * 2, "it holds 2 questions, and earlier turns are not read"),
        ([user("Q"), assistant("A")] * 3, "it holds 3 questions, and earlier turns are not read"),
        ([user("Q")], "the answer is missing"),
        ([assistant("A"), user("Q")], "it begins with an answer"),
        ([user("Q"), assistant("A"), assistant("B")], "it holds several answers"),
        ([{}] * 3, "it holds a message of an unknown role"),
        ([user("Q"), {"role": "Lena Fisk", "content": "A"}], "a message of an unknown role"),
        ([user("Q"), {"role": "tool", "content": "A"}], "it holds a message of role 'tool'"),
    ],
)
def test_other_conversations_are_refused(tmp_path: Path, turns: list[Any], why: str) -> None:
    good = {"messages": [user("Q"), assistant("A")]}
    message = refused(tmp_path, "rows.jsonl", as_lines([good, {"messages": turns}]))
    assert message.startswith(
        "rows.jsonl line 2 field 'messages' is not one question and its answer: "
    )
    assert why in message


def test_what_a_message_can_not_hold(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}
    for turns, why in (
        ([SYSTEM, SYSTEM, user("Q"), assistant("A")], "'messages' holds several system messages"),
        ([user([*parts("Q"), image]), assistant("A")], "'messages' holds a part that is no text"),
        ([user("Q"), assistant(None)], "field 'answer' is missing"),
    ):
        message = refused(tmp_path, "rows.jsonl", as_lines([{"messages": turns}]))
        assert f"rows.jsonl line 1 {'' if why[0] == 'f' else 'field '}{why}" in message


def test_a_list_of_questions_in_a_prompt_is_refused(tmp_path: Path) -> None:
    row = {"prompt": [user("P"), assistant("B"), user("Q")], "completion": [assistant("A")]}
    message = refused(tmp_path, "rows.jsonl", as_lines([row]))
    assert "field 'prompt' is not one question: it holds 2 questions, and earlier turns" in message
