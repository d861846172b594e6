"""Which language a short text is written in: by its script, else by its function words."""

import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path
from runpy import run_path

import spacy

# Names for messages; each has a list of stop words in spaCy.
NAMES = {
    "en": "English", "de": "German", "es": "Spanish", "fr": "French", "it": "Italian",
    "pt": "Portuguese", "nl": "Dutch", "sv": "Swedish", "da": "Danish", "fi": "Finnish",
    "pl": "Polish", "cs": "Czech", "ro": "Romanian", "hu": "Hungarian", "tr": "Turkish",
    "id": "Indonesian", "vi": "Vietnamese", "ca": "Catalan", "zh": "Chinese", "ja": "Japanese",
    "ko": "Korean", "ar": "Arabic", "fa": "Persian", "ur": "Urdu", "he": "Hebrew", "ru": "Russian",
    "uk": "Ukrainian", "bg": "Bulgarian", "el": "Greek", "hi": "Hindi", "bn": "Bengali",
    "ta": "Tamil", "te": "Telugu", "kn": "Kannada", "ml": "Malayalam", "gu": "Gujarati",
    "th": "Thai", "hy": "Armenian", "ka": "Georgian", "am": "Amharic",
}  # fmt: skip
# By the first word of a character's Unicode name.
_OF_SCRIPT = {
    "CJK": "zh", "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "ARABIC": "ar", "HEBREW": "he",
    "CYRILLIC": "ru", "GREEK": "el", "DEVANAGARI": "hi", "BENGALI": "bn", "TAMIL": "ta",
    "TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu", "THAI": "th",
    "ARMENIAN": "hy", "GEORGIAN": "ka", "ETHIOPIC": "am",
}  # fmt: skip
# Letters that a script's other languages have and its first does not.
_TELLING = {"ar": {"fa": "\u067e\u0686\u0698\u06af", "ur": "\u0679\u0688\u0691\u06d2"},
            "ru": {"uk": "\u0456\u0457\u0454\u0491"}}  # fmt: skip
_LATIN = "en de es fr it pt nl sv da fi pl cs ro hu tr id vi ca".split()
# With these a question is asked; one of them is enough where nothing is English.
_QUESTION_WORDS = frozenset(
    "wo wer wie wann wem wen wessen warum weshalb welche welcher welches welchen wohnt d\u00f3nde "
    "donde qui\u00e9n quien cu\u00e1ndo cuando cu\u00e1l cual c\u00f3mo qu\u00e9 o\u00f9 qui quand "
    "quel quelle quelles comment pourquoi combien dove chi quale perch\u00e9 onde quem qual waar "
    "wanneer welke waarom hvor hvem hvad hvorn\u00e5r hvorfor var vem n\u00e4r vad varf\u00f6r "
    "miss\u00e4 kuka milloin gdzie kto kiedy kde kdo kdy unde cine c\u00e2nd hol mikor nerede kim "
    "dimana siapa kapan".split()
)
_PARTICLES = frozenset("al bin ibn de del della di da do dos van von der den la le el y e".split())
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
# A Chinese character says about as much as so many letters.
_WEIGHTS = {"zh": 2.5, "ja": 2.5, "ko": 2.5}


def language_of(text: str) -> str:
    """Return the code of the language that a text is most likely in; English where nothing tells.

    >>> [language_of(t) for t in ("Where does Mia live?", "Wo wohnt Mia?", "米娅住在哪里?")]
    ['en', 'de', 'zh']
    """
    scripts: Counter[str] = Counter()
    for letter in filter(str.isalpha, text):
        script = "LATIN" if letter.isascii() else unicodedata.name(letter, "").split(" ")[0]
        language = _OF_SCRIPT.get(script, script)
        scripts[language] += _WEIGHTS.get(language, 1)  # type: ignore[assignment]
    if not scripts:
        return "en"
    # Japanese has Chinese characters among its own.
    if scripts["ja"] and scripts["zh"]:
        scripts["ja"] += scripts.pop("zh")
    (first, _), *_ = scripts.most_common(1)
    if first in ("LATIN", "") or first not in NAMES:
        return _latin(text)
    others = _TELLING.get(first, {})
    return next((code for code, marks in others.items() if set(marks) & set(text)), first)


def _latin(text: str) -> str:
    words = _plain_words(text)
    hits = {code: sum(word in stop_words(code) for word in words) for code in _LATIN}
    if text.lstrip().startswith(("\u00bf", "\u00a1")):
        hits["es"] += 2
    english = hits.pop("en")
    best = max(hits, key=lambda code: hits[code])
    asked = any(word in _QUESTION_WORDS for word in words)
    enough = hits[best] >= 2 or (hits[best] == 1 and not english and asked)
    return best if enough and hits[best] > english else "en"


def _plain_words(text: str) -> list[str]:
    """Return the words that are no part of a name: lower-case ones, and the first."""
    words = _WORD.findall(text)
    plain: list[str] = []
    for i, word in enumerate(words):
        in_name = word in _PARTICLES and any(
            w[:1].isupper() for w in (*words[max(i - 1, 0) : i], *words[i + 1 : i + 3])
        )
        if (word[0].islower() and not in_name) or not i:
            plain.append(word.lower())
    return plain


@cache
def stop_words(language: str) -> frozenset[str]:
    """Return a language's function words; none where spaCy has no list of them."""
    # Run by itself: importing a language's package compiles its tokenizer, for seconds in all.
    file = Path(spacy.__file__).parent / "lang" / language / "stop_words.py"
    return frozenset(run_path(str(file))["STOP_WORDS"] if file.is_file() else ())


def named(language: str) -> str:
    """Return a language's name and code, as in `Chinese (zh)`."""
    return f"{NAMES.get(language, language)} ({language})"
