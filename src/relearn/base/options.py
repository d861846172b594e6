"""The options of a registered function: names, types, ranges and defaults, from its signature.

An option is a parameter with an annotation that pydantic understands and a default:
`beta: PositiveFloat = 0.1`, `percentile: Annotated[float, Field(ge=0, le=100)] = 90.0`. What it
does is said by its line in the function's docstring.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from relearn.base.docstrings import entry
from relearn.base.errors import UserError
from relearn.base.registry import did_you_mean

_TYPES = {
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
}
_BOUNDS = {
    "exclusiveMinimum": "above",
    "minimum": "at least",
    "exclusiveMaximum": "below",
    "maximum": "at most",
}


class Options:
    """What a function can be configured with.

    Args:
        field: Of the configuration, for messages.
        function: Its parameters after the first `given` are its options.
        given: Number of parameters that are not options.
        defaults: In the place of the parameters' own; then these alone are options.
    """

    def __init__(
        self,
        field: str,
        function: Callable[..., Any],
        given: int,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self._field = field
        self._doc = function.__doc__
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())[given:]
        self.defaults: dict[str, Any] = (
            {p.name: p.default for p in parameters} if defaults is None else dict(defaults)
        )
        fields: dict[str, Any] = {
            p.name: (Any if p.annotation is p.empty else p.annotation, self.defaults[p.name])
            for p in parameters
            if p.name in self.defaults
        }
        # Strict: text in place of a number would go on into the formula.
        config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
        self._schema: type[BaseModel] = create_model("Options", __config__=config, **fields)

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse an option that does not exist, or a value of the wrong type or out of range.

        Returns:
            The values as the function takes them.

        Raises:
            UserError: names the option, and what it may be.
        """
        for name in values:
            if name not in self.defaults:
                raise UserError(
                    f"{self._field}: there is no option {name!r} here.",
                    did_you_mean(name, self.defaults),
                )
        try:
            checked = self._schema.model_validate(dict(values))
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise UserError(
                f"{self._field}.{name}: {values[name]!r} is not a {self.describe()[name]}.",
                f"Its default is {self.defaults[name]}.",
            ) from error
        return {name: getattr(checked, name) for name in values}

    def describe(self) -> dict[str, str]:
        """Return type and range of every option, such as `number above 0`, by name."""
        properties = self._schema.model_json_schema().get("properties", {})
        return {name: _described(schema) for name, schema in properties.items()}

    def lines(self) -> list[str]:
        """Return a line about every option.

        Such as `beta = 0.1: number above 0. Inverse temperature.`
        """
        return [
            f"{name} = {self.defaults[name]}: {kind}. {entry(self._doc, name)}"
            for name, kind in self.describe().items()
        ]


def _described(schema: Mapping[str, Any]) -> str:
    # An option that may be None is of its other type.
    schema = next((s for s in schema.get("anyOf", ()) if s.get("type") != "null"), schema)
    bounds = [f"{word} {schema[key]:g}" for key, word in _BOUNDS.items() if key in schema]
    kind = _TYPES.get(schema.get("type", ""), schema.get("type", "value"))
    return f"{kind} {' and '.join(bounds)}".strip()
