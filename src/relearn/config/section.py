"""What every part of the configuration is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the configuration; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
