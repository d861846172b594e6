"""YAML files of the user's: read, and checked against a type, with one line about a mistake."""

import io
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from relearn.base.errors import UserError

T = TypeVar("T")

_MOST_BYTES = 1 << 20
_MOST_VALUES = 10_000
"""In a file, where those that an alias repeats count each time."""


def yaml_stream(file: Traversable) -> io.StringIO:
    """Return a YAML file as a stream that has its name; refuse one that would fill the memory.

    Raises:
        OSError: it can't be read.
        ValueError: it is no UTF-8 text.
        yaml.YAMLError: it is no YAML, holds itself, or is much larger than it looks.
    """
    with file.open("rb") as opened:
        data = opened.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise yaml.YAMLError(f"it has more than {_MOST_BYTES:,} bytes")
    try:
        stream = io.StringIO(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"it is not UTF-8 text (line {line})") from None
    stream.name = str(file)
    try:
        root = yaml.compose(stream, yaml.SafeLoader)
        if root is not None and _size(root, {}) > _MOST_VALUES:
            raise yaml.YAMLError(f"it holds more than {_MOST_VALUES:,} values, counting aliases")
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep, or an alias contains itself") from None
    stream.seek(0)
    return stream


def _size(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Return the number of values in a node; what an alias repeats is looked at once."""
    if node not in known and isinstance(node, yaml.CollectionNode):
        parts = node.value
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in parts for part in pair]
        known[node] = 1 + sum(_size(part, known) for part in parts)
    return known.get(node, 1)


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
        return yaml.safe_load(yaml_stream(file))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{what}: {reason}.", hint) from error


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
