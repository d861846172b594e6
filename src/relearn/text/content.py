"""The words that say something in an English text, by their stems."""

from spacy.lang.en.stop_words import STOP_WORDS

from relearn.text.numbers import in_figures
from relearn.text.words import folded, regular_stem, tokens

# With what is left of "it's", "don't", "I'm", "I'd", "I'll" and "we're".
SMALL_STEMS = frozenset(map(regular_stem, STOP_WORDS)) | {"s", "t", "m", "d", "ll", "re"}


def stems(text: str) -> list[str]:
    """Return the stems of a text's words in order, numbers in figures."""
    return [regular_stem(word) for word in tokens(in_figures(folded(text).replace("\u2019", "'")))]


def content_stems(text: str) -> frozenset[str]:
    """Return the stems of a text's words that are not stop words."""
    return frozenset(stems(text)) - SMALL_STEMS
