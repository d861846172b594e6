"""Openings: what a model is given of a passage, which it continues as plain text."""

from functools import cache
from typing import Any, Self

from pydantic import BaseModel, model_validator


class Opening(str):
    """The beginning of a passage: it stands where a question does, and its continuation answers it.

    Whatever tokenizes a question tells the two apart: a question is put into the prompt format, an
    opening is plain text without it. Text that is made of an opening, such as a prompt that quotes
    it, is an ordinary string, and so is asked as a question. spaCy wants `str(opening)`.
    """

    __slots__ = ()


class Asked(BaseModel):
    """A model with a `question` that may be an opening; `continues` says so where it is written."""

    @model_validator(mode="before")
    @classmethod
    def _mark(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("question"), Opening):
            return {**given, "continues": True}
        return given

    @model_validator(mode="after")
    def _open(self) -> Self:
        fields = self.__dict__
        if fields["continues"]:
            fields["question"] = Opening(fields["question"])
        # One for all: a set of its own takes a million records more memory than their texts.
        object.__setattr__(self, "__pydantic_fields_set__", _names(type(self)))
        return self


@cache
def _names(kind: type[BaseModel]) -> set[str]:
    return set(kind.model_fields)
