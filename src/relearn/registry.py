"""Registries: plain dictionaries filled by a decorator."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from relearn.errors import UserError

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
            raise UserError(f"no {self.kind} is called {name!r}.", f"Known: {', '.join(self)}.")
        return self[name]

    def summaries(self) -> dict[str, str]:
        """Return the first line of every entry's docstring, by name."""
        return {name: (entry.__doc__ or "").strip().split("\n")[0] for name, entry in self.items()}


def check_options(
    field: str, function: Callable[..., Any], options: Mapping[str, Any], given: int
) -> None:
    """Refuse options that a registered function does not take.

    Args:
        field: Of the configuration, for the message.
        function: Its parameters after the first `given` are its options.
        options: As configured.
        given: Number of parameters that are no options.

    Raises:
        UserError: names the option and those there are.
    """
    known = list(inspect.signature(function).parameters)[given:]
    for name in options:
        if name not in known:
            raise UserError(
                f"{field}: there is no option {name!r} here.",
                f"Known: {', '.join(known) or 'none'}.",
            )
