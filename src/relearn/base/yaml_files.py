"""YAML files of the user's: read, and checked against a type, with one line about a mistake."""

from importlib.resources.abc import Traversable
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from relearn.base.errors import UserError

T = TypeVar("T")


def read_yaml(file: Traversable, what: str, hint: str) -> Any:
    """Return what is in a file.

    Args:
        file: The file, shipped or the user's.
        what: The file, for messages.
        hint: How a mistake is fixed.

    Raises:
        UserError: it can't be read, or is no YAML.
    """
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{what}: {' '.join(str(error).split())}.", hint) from error


def validated(content: Any, kind: TypeAdapter[T], what: str, hint: str) -> T:
    """Return what a file says as a type has it; `what` and `hint` are as for `read_yaml`.

    Raises:
        UserError: it says something else; names the place.
    """
    try:
        return kind.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{what}, {place}: {first['msg'].lower()}.", hint) from error
