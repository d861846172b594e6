"""Registries: plain dictionaries filled by a decorator."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TypeVar

from relearn.base.docstrings import summary
from relearn.base.errors import UserError

T = TypeVar("T")


class Registry(dict[str, T]):
    """Things of one kind by name, for configuration files and `relearn list`.

    Args:
        kind: What the entries are, in the singular, for error messages ("objective").
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters what it decorates under `name`."""

        def enter(entry: T) -> T:
            if name in self:
                raise ValueError(f"two {self.kind}s are called {name!r}")
            self[name] = entry
            return entry

        return enter

    def named(self, name: str) -> T:
        """Return the entry called `name`.

        Raises:
            UserError: no entry has that name; the message lists those there are.
        """
        if name not in self:
            raise UserError(f"no {self.kind} is called {name!r}.", did_you_mean(name, self))
        return self[name]

    def summaries(self) -> dict[str, str]:
        """Return the first line of every entry's docstring, by name."""
        return {name: summary(entry.__doc__) for name, entry in self.items()}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint for a name that is not known: the one it resembles, and all there are."""
    names = list(known)
    close = get_close_matches(str(name), names, n=1)
    suggestion = f"Did you mean {close[0]!r}? " if close else ""
    return f"{suggestion}Known: {', '.join(names) or 'none'}."
