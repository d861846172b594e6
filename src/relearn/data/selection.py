"""A part of a source: the records that have a value in a column, as `people.csv#set=forget`."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from relearn.base.errors import UserError
from relearn.base.progress import note
from relearn.data.cells import as_text
from relearn.data.rows import Row, shown

# What a column says that tells sets apart; another value may be private.
_USUAL_VALUES = frozenset(
    "forget retain unlearn keep train test validation val holdout true false yes no 0 1".split()
)


@dataclass(frozen=True)
class Selection:
    """Which records of a source are meant.

    Attributes:
        source: The source itself.
        column: Its column that says to which set a record belongs; empty if all are meant.
        value: What it says of those that are meant, in any case; `*` stands for any text.
    """

    source: str
    column: str = ""
    value: str = ""

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that are meant.

        Raises:
            UserError: there is no such column, a row has nothing in it, or no row has the value.
        """
        if not self.column:
            return list(rows)
        names = list(dict.fromkeys(name for row in rows for name in row.fields))
        if self.column not in names:
            raise UserError(
                f"{self.source} has no column {self.column!r}.", f"Columns: {shown(names)}."
            )
        values = [self._value(row) for row in rows]
        wanted = re.compile(
            ".*".join(map(re.escape, self.value.strip().casefold().split("*"))), re.DOTALL
        )
        # A row that can't be read is left in, to be told.
        chosen = [
            r for r, value in zip(rows, values, strict=True) if wanted.fullmatch(value) or r.problem
        ]
        if not chosen:
            known = sorted(_USUAL_VALUES.intersection(values))
            raise UserError(
                f"no record of {self.source} has {self.value!r} in column {self.column!r}.",
                f"It has: {', '.join(known)}." if known else "Check the value.",
            )
        note(f"{self.source}: {self.column}={self.value}: {len(chosen)} of {len(rows)} records")
        return chosen

    def _value(self, row: Row) -> str:
        try:
            value = as_text(row.fields.get(self.column))
        except ValueError as error:
            problem = f"field {self.column!r} {error}"
            raise UserError(f"{self.source} {row.place} {problem}.", "Write one value.") from None
        if value is None and not row.problem:
            raise UserError(
                f"{self.source} {row.place} has nothing in column {self.column!r}.",
                "Say of each record to which set it belongs.",
            )
        return (value or "").strip().casefold()


def selection(source: str) -> Selection:
    """Return what `SOURCE#COLUMN=VALUE` means; a file that is called so is meant as a whole."""
    name, sign, condition = source.rpartition("#")
    column, equals, value = condition.partition("=")
    whole = not (sign and name and column and equals)
    if whole or os.path.exists(os.path.expanduser(source)):
        return Selection(source)
    return Selection(name, column, value)
