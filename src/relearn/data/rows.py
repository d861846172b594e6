"""The row: what a file's reader makes of one record, before its columns are known."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# Columns that hold a conversation, not a file's list of records.
CHAT_COLUMNS = ("messages", "conversations", "conversation")

# A field's name as programs write it; a name with spaces may be a person's, or a whole question.
_IDENTIFIER = re.compile(r"[^\W\d][\w-]{0,39}")
_MOST_NAMES = 16


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file, or why it can't be read.

    Attributes:
        place: Where it stands, as a person would look for it: "line 3".
        fields: Cells by the name of their column.
        problem: What is wrong with the whole row, if anything.
        own_names: Whether the row itself names its fields, as a JSON object does. The names of a
            table come from its first line, which may be a record where the header was forgotten.
    """

    place: str
    fields: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    own_names: bool = False


def shown(names: Iterable[str]) -> str:
    """List names of fields for a message; those that may be private text are only counted."""
    names = list(names)
    plain = [name for name in names if _IDENTIFIER.fullmatch(name)][:_MOST_NAMES]
    others = len(names) - len(plain)
    if not plain:
        return "a field" if others == 1 else f"{others} fields"
    return ", ".join(plain) + (f" and {others} more" if others else "")
