"""Answers that any system wrote: the rows of a file to evaluated rows."""

import json
import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from relearn.base.errors import UserError
from relearn.data.cells import MOST_CHARACTERS, as_text
from relearn.data.rows import Row, shown
from relearn.data.sources import read_file
from relearn.evaluation.rows import EvaluatedRow

_HINT = (
    'Each row needs "set", "question", "reference" and "generation"; other fields may be left out.'
)
_TEXTS = frozenset(
    "set question reference generation id nli_label paraphrased_answer continuation "
    "continuation_reference".split()
)
_NUMBERS_TOO = frozenset({"question", "reference", "generation"})  # an answer may be 42


def read_generations(path: Path) -> list[EvaluatedRow]:
    """Read the answers in a file of any format that a set of records may have.

    Raises:
        UserError: the file is missing or empty, or a row is bad; names its place and field.
    """
    rows = read_file(path, str(path))
    if not rows:
        raise UserError(f"{path} has no rows.", "Give at least one.")
    return [_evaluated(row, f"{path}, {row.place}") for row in rows]


def _evaluated(row: Row, where: str) -> EvaluatedRow:
    if row.problem:
        raise UserError(f"{where} {row.problem}.", _HINT)
    fields = {name: _value(name, value, row) for name, value in row.fields.items()}
    for name, value in fields.items():
        # Python reads more than it can write again, NaN and halves of surrogate pairs among it.
        try:
            json.dumps({name: value}, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{where}, {_named(name)}: no valid JSON value.", _HINT) from error
        if name in EvaluatedRow.model_fields and isinstance(value, str):
            _check_length(name, value, where)
    try:
        # Strict: "0.5" and true are no numbers. Scores are computed, never taken over.
        return EvaluatedRow.model_validate(fields | {"scores": {}}, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        loc, *inner = (str(part) for part in first["loc"])
        field = ".".join([_named(loc), *inner])
        raise UserError(f"{where}, {field}: {first['msg'].lower()}.", _HINT) from error


def _value(name: str, value: Any, row: Row) -> Any:
    """Return a cell as JSON would hold it; a table has numbers and lists as text, and gaps."""
    if name in _NUMBERS_TOO and isinstance(value, int | float):
        return as_text(value)
    if row.own_names:
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    if not isinstance(value, str) or name in _TEXTS or name not in EvaluatedRow.model_fields:
        return None if value == "" and name not in _TEXTS else value
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError):
        return value


def _named(field: str) -> str:
    return field if field in EvaluatedRow.model_fields else shown([field])


def _check_length(name: str, text: str, where: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise UserError(
            f"{where}, {name}: it has {len(text):,} characters, more than {MOST_CHARACTERS:,}.",
            "Shorten it.",
        )
