"""What `relearn list settings` says, from the docstrings."""

from inspect import cleandoc

from pydantic import BaseModel

from relearn.base.docstrings import entry
from relearn.config.run import RunConfig
from relearn.config.section import Section


def describe_settings(
    section: type[BaseModel] = RunConfig, prefix: str = ""
) -> dict[str, tuple[str, str]]:
    """Return default and description of every field, by dotted name, for `relearn list`."""
    settings: dict[str, tuple[str, str]] = {}
    parents = reversed(section.__mro__[:-2])
    inherited = "\n".join(cleandoc(parent.__doc__ or "") for parent in parents)
    for name, field in section.model_fields.items():
        if isinstance(field.default, Section):
            settings |= describe_settings(type(field.default), f"{prefix}{name}.")
            continue
        settings[prefix + name] = (str(field.default), entry(inherited, name))
    return settings
