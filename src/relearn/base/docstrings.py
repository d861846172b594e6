"""What docstrings say, for lists and tables: one line about a thing, about each argument, a source.

Docstrings are google style; `relearn list` and the tables of the docs are made of them, so that
what a thing is is written in one place.
"""

import re
from inspect import cleandoc


def summary(doc: str | None) -> str:
    """Return the first line of a docstring."""
    return cleandoc(doc or "").split("\n")[0]


def source(doc: str | None) -> str:
    """Return what follows `Source:` in a docstring, to the end of the paragraph, as one line."""
    found = re.search(r"^Source: (.+?)(?:\n\n|\Z)", cleandoc(doc or ""), re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()).rstrip(".") if found else ""


def entry(doc: str | None, name: str) -> str:
    """Return what a docstring says of one argument or attribute, as one line."""
    found = re.search(rf"^ +{name}: (.+(?:\n {{6,}}.+)*)", cleandoc(doc or ""), re.MULTILINE)
    return " ".join(found[1].split()) if found else ""
