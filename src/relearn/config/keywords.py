"""A configuration from the keyword arguments of a function."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from relearn.base.errors import UserError
from relearn.base.registry import did_you_mean
from relearn.config.file import load_config
from relearn.config.run import RunConfig
from relearn.config.section import Section


def config_from_keywords(
    file: str | os.PathLike[str] | None,
    settings: Mapping[str, Any],
    named: Mapping[str, Any],
    section: Literal["training", "synthesis", "evaluation"],
) -> RunConfig:
    """Return the configuration that a function's keyword arguments make.

    Args:
        file: A YAML file or the name of a recipe, which the others override.
        settings: By name: sections of the configuration (`training={"epochs": 3}`), settings of
            `section` (`epochs=3`), and dotted settings (`**{"model.system": "Be brief."}`).
        named: Values by dotted setting that have a keyword of their own; None means not given.
        section: Whose settings need no section's name.

    Raises:
        UserError: no setting has that name, or its value is out of range.
    """
    own = RunConfig.model_fields[section].default
    fields: dict[str, Any] = {}
    for name, value in settings.items():
        if name in type(own).model_fields and name not in RunConfig.model_fields:
            fields[f"{section}.{name}"] = _plain(value)
        elif name.partition(".")[0] in RunConfig.model_fields:
            fields[name] = _plain(value)
        else:
            known = [*type(own).model_fields, *RunConfig.model_fields]
            raise UserError(f"there is no setting {name!r}.", did_you_mean(name, known))
    fields |= {name: _plain(value) for name, value in named.items() if value is not None}
    return load_config(Path(file) if file else None, named=fields, inherit=True)


def _plain(value: Any) -> Any:
    """Return a value as a YAML file would have it."""
    if isinstance(value, Section):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return os.fspath(value) if isinstance(value, os.PathLike) else value
