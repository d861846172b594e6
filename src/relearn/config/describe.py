"""What `relearn list settings` says, from the docstrings."""

import re

from pydantic import BaseModel

from relearn.config.run import RunConfig
from relearn.config.section import Section


def describe_settings(
    section: type[BaseModel] = RunConfig, prefix: str = ""
) -> dict[str, tuple[str, str]]:
    """Return default and description of every field, by dotted name, for `relearn list`."""
    settings: dict[str, tuple[str, str]] = {}
    inherited = "".join(parent.__doc__ or "" for parent in reversed(section.__mro__[:-2]))
    for name, field in section.model_fields.items():
        if isinstance(field.default, Section):
            settings |= describe_settings(type(field.default), f"{prefix}{name}.")
            continue
        entry = re.search(rf"^ +{name}: (.+(?:\n {{12,}}.+)*)", inherited, re.MULTILINE)
        text = " ".join(entry[1].split()) if entry else ""
        settings[prefix + name] = (str(field.default), text)
    return settings
