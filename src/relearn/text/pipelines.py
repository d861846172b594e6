"""spaCy's pipelines for other languages than English, by name."""

from functools import cache

import spacy
from spacy.language import Language

from relearn.base.errors import UserError

BLANK = "blank:"


@cache
def pipeline(name: str) -> Language:
    """Return a pipeline: an installed package, a folder, or `blank:LANGUAGE`, which cuts words.

    Raises:
        UserError: there is none, or it can't be loaded.
    """
    blank = name.startswith(BLANK)
    try:
        return spacy.blank(name.removeprefix(BLANK)) if blank else spacy.load(name)
    except (OSError, ImportError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        hint = (
            "Install what it needs" if blank else f"`python -m spacy download {name}` installs one"
        )
        raise UserError(
            f"spaCy can't load {name!r}: {reason}", f"{hint}, or take blank:xx, for any language."
        ) from error
