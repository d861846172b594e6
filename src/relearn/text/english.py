"""spaCy's English pipeline, loaded once."""

from functools import cache

import spacy
from spacy.language import Language

from relearn.store.embedded import embedded_folder


@cache
def english() -> Language:
    """Return the embedded English pipeline."""
    return spacy.load(embedded_folder("en_core_web_sm"))


def parts_of_speech(word: str) -> list[str]:
    """Return as what English has a word, in its basic form: `adj`, `noun`, `verb`; [] if not."""
    return [kind for kind, known in _dictionary().items() if word in known]


@cache
def _dictionary() -> dict[str, frozenset[str]]:
    tables = english().get_pipe("lemmatizer").lookups.get_table("lemma_index")  # type: ignore[attr-defined]
    return {kind: frozenset(tables[kind]) for kind in ("adj", "noun", "verb")}
