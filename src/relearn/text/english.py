"""spaCy's English pipeline, loaded once."""

from functools import cache

import spacy
from spacy.language import Language

from relearn.store.embedded import embedded_folder


@cache
def english() -> Language:
    """Return the embedded English pipeline."""
    return spacy.load(embedded_folder("en_core_web_sm"))
