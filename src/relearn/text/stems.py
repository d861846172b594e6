"""Words by their stems: what makes two spellings or inflections of a word the same."""

import re
import unicodedata
from functools import cache

from relearn.text.endings import without_particle
from relearn.text.english import english
from relearn.text.words import is_unspaced, regular_stem

# Letters that Unicode does not take apart into a plain one and a mark.
_PLAIN = str.maketrans(
    {
        "\u00f8": "o",
        "\u0142": "l",
        "\u0111": "d",
        "\u00f0": "d",
        "\u00fe": "th",
        "\u00e6": "ae",
        "\u0153": "oe",
        "\u0131": "i",
        "\u00df": "ss",
    }
)
# Vowel signs and other marks of Hebrew, Arabic, the scripts of India, and Thai belong to a word.
_WORD = re.compile(
    "(?:[^\\W_]|[\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e"
    "\u102b-\u103e])+"
)
_POSSESSIVE = re.compile(r"['\u2019]s?\b")
# Characters that nobody sees, with which a word may be split.
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def unaccented(text: str) -> str:
    """Return a text without case, accents and characters that nobody sees."""
    if text.isascii():
        return text.casefold()
    split = unicodedata.normalize("NFKD", _UNSEEN.sub("", text).casefold()).translate(_PLAIN)
    # Marks go where they are accents; what else was taken apart, as Hangul is, is put together.
    kept = (c for c in split if not ("\u0300" <= c <= "\u036f" or "\u064b" <= c <= "\u065f"))
    return unicodedata.normalize("NFC", "".join(kept))


def squeezed(text: str) -> str:
    """Return a text's letters and digits alone, without case and accents."""
    return "".join(filter(str.isalnum, unaccented(text)))


def plain_words(text: str) -> list[str]:
    """Return a text's words without case, accents and possessive endings.

    In scripts that put no spaces between words, every two characters in a row are one; every four
    of an alphabet, such as Thai.
    """
    words = _WORD.findall(_POSSESSIVE.sub(" ", unaccented(text)))
    if text.isascii() or not is_unspaced(text):
        return words
    return [part for word in words for part in _parts(word)]


def _parts(word: str) -> list[str]:
    size = 4 if "\u0e00" <= word[0] <= "\u17ff" and not "\u1100" <= word[0] <= "\u11ff" else 2
    if not is_unspaced(word) or len(word) <= size:
        return [word]
    return [word[i : i + size] for i in range(len(word) - size + 1)]


@cache
def stem(word: str) -> str:
    """Return a word's stem: English by its rules ("stole" is "steal"), Korean without particle."""
    if not word.isascii():
        word = without_particle(word)
    return regular_stem(_irregular().get(word, word))


@cache
def _irregular() -> dict[str, str]:
    tables = english().get_pipe("lemmatizer").lookups.get_table("lemma_exc")  # type: ignore[attr-defined]
    verbs, nouns = (dict(tables[kind]) for kind in ("verb", "noun"))
    return {
        word: lemmas[0]
        for table in (nouns, verbs)
        for word, lemmas in table.items()
        if word.isalpha() and lemmas and lemmas[0] != word and word not in ("lives", "leaves")
    }
