"""Conversations: OpenAI's `messages`, ShareGPT's `conversations`, TRL's lists of messages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relearn.data.rows import CHAT_COLUMNS, Row

_ROLES = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "bing", "bard", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
# Roles that a message may name; another one may be a person's name.
_TOOL_ROLES = ("tool", "function", "observation", "function_call", "ipython")


@dataclass(frozen=True)
class _Message:
    role: str
    text: Any


def without_messages(row: Row, split_turns: bool = False) -> list[Row]:
    """Turn the conversation in a row into a question, an answer and a system message.

    Args:
        row: With a column of `CHAT_COLUMNS`, or with cells that are lists of messages, as TRL's
            `prompt` and `completion` are. Any other row is returned as it is. Of TRL's preference
            data, what is `rejected` is left out.
        split_turns: Return a row for each question of a longer conversation, with its answer.

    Returns:
        One row, or as many as the conversation has questions.
    """
    if not _holds_messages(row):
        return [row]
    fields, answered = dict(row.fields), False
    if "chosen" in fields:
        fields.pop("rejected", None)
    for column, value in list(fields.items()):
        is_chat = column in CHAT_COLUMNS
        turns = _parsed(value) if is_chat else value
        if not (isinstance(turns, list) and (is_chat or _are_messages(turns))):
            continue
        del fields[column]
        try:
            if is_chat and split_turns and len(pairs := _pairs(turns)) > 1:
                return [_turn_row(row, number, fields | each) for number, each in pairs]
            parts = _parts(turns, "" if is_chat else column)
            if "answer" in parts and answered:
                raise ValueError("is a second conversation; a record has one")
            answered = answered or "answer" in parts
            fields |= parts
        except ValueError as error:
            return [Row(row.place, fields, f"field {column!r} {error}", row.own_names)]
    return [Row(row.place, fields, row.problem, row.own_names)]


def _holds_messages(row: Row) -> bool:
    """Return whether a row may have a conversation in it, or TRL's preferences."""
    return any(
        name in CHAT_COLUMNS or name == "chosen" or isinstance(value, list)
        for name, value in row.fields.items()
    )


def _turn_row(row: Row, number: int, fields: dict[str, Any]) -> Row:
    """Return the row of a conversation's question; its id is the conversation's and a number."""
    numbered = {
        name: f"{value}-turn-{number}"
        for name, value in fields.items()
        if name.casefold() == "id" and value is not None
    }
    return Row(f"{row.place} turn {number}", fields | numbered, row.problem, row.own_names)


def _pairs(turns: list[Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return number and fields of each question with its answer; none if they don't alternate."""
    messages = [_message(turn) for turn in turns]
    first = 1 if messages and messages[0].role == "system" else 0
    said = messages[first:]
    roles = [message.role for message in said]
    if not said or roles != ["user", "assistant"] * (len(said) // 2):
        return []
    common = {"system": messages[0].text} if first else {}
    return [
        (number, common | {"question": question.text, "answer": answer.text})
        for number, (question, answer) in enumerate(zip(said[::2], said[1::2], strict=True), 1)
    ]


def _parsed(value: Any) -> Any:
    """Return a conversation that a table's cell holds as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _are_messages(turns: list[Any]) -> bool:
    return bool(turns) and all(
        isinstance(turn, dict)
        and turn.keys() & {"role", "from"}
        and turn.keys() & {"content", "value"}
        for turn in turns
    )


def _parts(turns: list[Any], column: str) -> dict[str, Any]:
    """Return the fields that a conversation makes.

    Args:
        turns: The messages.
        column: Which takes the text of a list with a single question, or a single answer, beside a
            system message; empty where the list must hold both.
    """
    messages = [_message(turn) for turn in turns]
    system = [message.text for message in messages if message.role == "system"]
    said = [message for message in messages if message.role != "system"]
    if len(system) > 1:
        raise ValueError("holds several system messages")
    found = {"system": system[0]} if system else {}
    roles = [message.role for message in said]
    if roles == ["user", "assistant"]:
        return found | {"question": said[0].text, "answer": said[1].text}
    if column and len(roles) == 1:
        return found | {column: said[0].text}
    wanted = "is not one question" + ("" if column else " and its answer")
    raise ValueError(f"{wanted}: {_described(roles)}")


def _described(roles: Sequence[str]) -> str:
    if unknown := [role for role in roles if role not in ("user", "assistant")]:
        named = f"of role {unknown[0]!r}" if unknown[0] in _TOOL_ROLES else "of an unknown role"
        return f"it holds a message {named}"
    if roles.count("user") > 1:
        return (
            f"it holds {roles.count('user')} questions, and earlier turns are not read; make each "
            "a record of its own, or have that done with --set data.split_turns=true"
        )
    if roles == ["user"]:
        return "the answer is missing"
    if roles[:1] == ["assistant"]:
        return "it begins with an answer"
    return "it holds no message" if not roles else "it holds several answers"


def _message(turn: Any) -> _Message:
    if not isinstance(turn, dict):
        raise ValueError("is not one question and its answer: a message has no role and content")
    given = turn.get("role", turn.get("from"))
    role = _ROLES.get(given.casefold(), given) if isinstance(given, str) else ""
    return _Message(role, _content(turn.get("content", turn.get("value"))))


def _content(content: Any) -> Any:
    """Return a message's text, which OpenAI also writes as a list of parts."""
    if not (isinstance(content, list) and all(isinstance(part, dict) for part in content)):
        return content
    if not all(part.get("type", "text") == "text" and "text" in part for part in content):
        raise ValueError("holds a part that is no text, such as an image")
    return "".join(str(part["text"]) for part in content)
