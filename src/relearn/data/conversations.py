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


def without_messages(row: Row) -> Row:
    """Turn the conversation in a row into a question, an answer and a system message.

    Args:
        row: With a column of `CHAT_COLUMNS`, or with cells that are lists of messages, as TRL's
            `prompt` and `completion` are. Any other row is returned as it is.
    """
    fields = dict(row.fields)
    for column, value in row.fields.items():
        is_chat = column in CHAT_COLUMNS
        turns = _parsed(value) if is_chat else value
        if not (isinstance(turns, list) and (is_chat or _are_messages(turns))):
            continue
        del fields[column]
        try:
            fields |= _parts(turns, "" if is_chat else column)
        except ValueError as error:
            return Row(row.place, fields, f"field {column!r} {error}", row.own_names)
    return Row(row.place, fields, row.problem, row.own_names)


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
            "a record of its own"
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
