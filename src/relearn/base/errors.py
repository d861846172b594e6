"""The one exception type for what the user can fix; and how any other one is shown."""

import traceback
from collections.abc import Sequence
from typing import Self

_LONGEST = 1000
# Of errors whose messages are about files, memory and shapes, and never quote a record.
_TOLD = (ImportError, MemoryError, OSError, RuntimeError)


class UserError(Exception):
    """What is wrong, where, and how to fix it; `cli.py` prints it in one line.

    The command ends with its `exit_code`.

    Args:
        problem: What was wrong and where (file, line, field).
        hint: What to do about it.
    """

    exit_code = 2

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = _one_line(problem)
        self.hint = _one_line(hint)
        # Whether another of several processes prints it.
        self.elsewhere = False
        super().__init__(f"{self.problem} {self.hint}".strip())

    def in_section(self, section: str) -> Self:
        """Return the error about a setting of `training` as one about the same of `section`."""
        error = type(self)(self.problem.replace("training.", f"{section}.", 1), self.hint)
        error.elsewhere = self.elsewhere
        return error


def _one_line(text: str) -> str:
    """Return a text that steers no terminal and fits a message: names in it may be anybody's."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(shown) <= _LONGEST:
        return shown
    return f"{shown[: _LONGEST // 2]} … {shown[-_LONGEST // 2 :]}"


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names for a message: the first so many, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


class UnansweredError(UserError):
    """Synthesis found no new answer, so that what was to be forgotten stays in the model."""

    exit_code = 4


def unexpected(error: BaseException) -> str:
    """Return the traceback of a bug without those messages that may quote a record."""
    causes: list[BaseException] = []
    while error not in causes:
        causes.insert(0, error)
        error = error.__cause__ or (not error.__suppress_context__ and error.__context__) or error
    lines = []
    for each in causes:
        message = str(each) if isinstance(each, _TOLD) else "(its message may quote a record)"
        lines += traceback.format_tb(each.__traceback__)
        lines.append(f"{type(each).__module__}.{type(each).__qualname__}: {message}\n")
    return "".join(lines)
