"""Words of a text in any script, without case, accents of width, or punctuation."""

import re
import unicodedata

# Scripts whose words no space divides: Han, kana, Thai, Lao, Khmer, Burmese. Each of their
# characters is a token, with the marks that combine with it.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_HANGUL = "\u1100-\u11ff\uac00-\ud7af"
_MARK = "\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u3099\u309a"
_TOKEN = re.compile(rf"[{_UNSPACED}][{_MARK}]*|(?:(?![{_UNSPACED}])[^\W_])(?:(?![{_UNSPACED}])\w)*")
_CHARACTERS = re.compile(rf"[{_UNSPACED}{_HANGUL}]")


def folded(text: str) -> str:
    """Return `text` in one form of each character, without case (NFKC, case-folded)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def tokens(text: str) -> list[str]:
    """Return the words of a text, folded; in scripts without spaces each character is one.

    >>> tokens("Dr. Müller's 3 cats; 林晓梅")
    ['dr', 'müller', 's', '3', 'cats', '林', '晓', '梅']
    """
    return _TOKEN.findall(folded(text))


def normalized(text: str) -> str:
    """Return the words of a text with a space between any two: two texts that differ only in
    case, white space and punctuation are the same.
    """  # noqa: D205
    return " ".join(tokens(text))


def is_unspaced(text: str) -> bool:
    """Return whether a text has characters of a script whose words are not divided by spaces."""
    return _CHARACTERS.search(text) is not None
