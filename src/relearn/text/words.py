"""Words of a text in any script, without case, width or punctuation."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import regex
from nltk.stem.snowball import SnowballStemmer

# Scripts whose words no space divides: each of their characters is a token.
_UNSPACED = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u3005\u3007\u30fc--\p{N}]"
)
_TOKEN = regex.compile(
    rf"{_UNSPACED}\p{{M}}*|(?:(?!{_UNSPACED})[\p{{L}}\p{{N}}]\p{{M}}*)+", regex.VERSION1
)
_UNSPACED_CHARACTER = regex.compile(_UNSPACED, regex.VERSION1)
_LETTER, _LATIN = regex.compile(r"\p{L}"), regex.compile(r"\p{Latin}")
_STEMMER = SnowballStemmer("english")


def folded(text: str) -> str:
    """Return `text` in one form of each character, without case (NFKC, case-folded)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def folded_line(text: str) -> str:
    """Return `text` folded, on one line, with single spaces."""
    return " ".join(folded(text).split())


def tokens(text: str) -> list[str]:
    """Return the words of a text, folded; in scripts without spaces each character is one.

    >>> tokens("Dr. Müller's 3 cats; 林晓梅")
    ['dr', 'müller', 's', '3', 'cats', '林', '晓', '梅']
    """
    return _TOKEN.findall(folded(text))


def words_alone(text: str) -> str:
    """Return a text without case, punctuation and extra white space: its words, spaced."""
    return " ".join(tokens(text))


@cache
def regular_stem(word: str) -> str:
    """Return the stem of an English word in lower case, by its ending alone."""
    return str(_STEMMER.stem(word))


def is_unspaced(text: str) -> bool:
    """Return whether a text has characters of a script whose words no space divides."""
    return _UNSPACED_CHARACTER.search(text) is not None


def latin_share(text: str) -> float:
    """Return the share of Latin letters among a text's letters, 0 to 1; 1 where it has none."""
    letters = len(_LETTER.findall(text))
    return len(_LATIN.findall(text)) / letters if letters else 1.0


def common_beginning(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Return with how many items in common two sequences begin: letters, words or tokens."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))
