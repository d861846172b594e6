"""What every part of the configuration is, and what every value of a setting must be."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

MOST = 1_000_000_000
"""No number of a configuration is larger; one that is comes from a slip of the hand."""

Count = Annotated[int, Field(ge=1, le=MOST)]
Positive = Annotated[float, Field(gt=0, le=MOST)]
NonNegative = Annotated[float, Field(ge=0, le=MOST)]
Ratio = Annotated[float, Field(ge=0, le=1000)]
"""Rows of one kind for each row of another."""
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""NumPy takes no other."""


class Section(BaseModel):
    """A part of the configuration; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_a_value(cls, given: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic takes and no setting means: true for 1, infinity, half a letter."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(given, bool) and not ({bool, Any} & {kind}):
            raise ValueError(f"can't be {str(given).lower()}")
        # What a section holds is checked there, under its own name.
        within = any(
            isinstance(k, type) and issubclass(k, Section) for k in (kind, *get_args(kind))
        )
        for value in () if within else _values(given):
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError("must be a finite number")
            if isinstance(value, str):
                _check_text(value)
        return given


def _values(given: Any) -> Iterator[Any]:
    """Yield a value, or what a list or mapping holds, keys among it."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            yield key
            yield from _values(value)
    elif isinstance(given, list):
        for value in given:
            yield from _values(value)
    else:
        yield given


def _check_text(text: str) -> None:
    """Refuse a text that no file name or prompt can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode") from None
    if any(c < " " and c not in "\n\t\r" for c in text):
        raise ValueError("must not contain control characters")
