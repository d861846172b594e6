"""The one exception type for what the user can fix."""

from collections.abc import Sequence
from typing import Self

_LONGEST = 1000


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
