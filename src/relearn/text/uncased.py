"""Names in questions that are written without capitals: "where does lena fisk live"."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from nltk.util import ngrams
from spacy.lang.en.stop_words import STOP_WORDS
from spacy.tokens import Token

from relearn.text.askable import askable
from relearn.text.english import english, parts_of_speech
from relearn.text.stems import stem

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
POSSESSIVE = re.compile(r"['\u2019]s?$")
AUXILIARIES = frozenset(
    "is are was were do does did has have had can could will would should may might must".split()
)
# Behind these a name may end the question: "where is lena fisk?"
_COPULAS = frozenset("is are was were".split())
# Openings after which it may not: "why is lena fisk gay?"
_REASONS = frozenset("why when since if whether".split())
# Whom "do you know lena fisk?" asks.
_ASKED = frozenset("you i we anyone anybody someone somebody".split())
_BEFORE_NAMES = frozenset("of about to for with by and".split())
_DETERMINERS = frozenset("a an the his her their its my your our this that any some".split())
PARTICLES = frozenset("al bin ibn de del della di da dos van von der den la le".split())
_LONGEST, _LEAST = 4, 1.9


def with_likeliest_name(question: str) -> str:
    """Return a question without capitals with its likeliest name in capitals; "" if it has none.

    A name has no article and is where a person would be: after the verb that opens the question,
    before a possessive ending, after "of" or "about"; and its words are none that a question has
    about anybody. What is asked of the person is no part of it ("is lena fisk gay?"): better a
    name too short than one that says it.
    """
    doc = english()(question.lower())
    tags = {token.idx: token for token in doc}
    words = list(_WORD.finditer(question.lower()))
    best: tuple[int, int] | None = None
    most = _LEAST
    for start in range(len(words)):
        for end in range(start + 1, min(start + _LONGEST, len(words)) + 1):
            score = _score(question, words, start, end, tags)
            if score > most:
                best, most = (words[start].start(), words[end - 1].end()), score
    if not best:
        return ""
    name = _with_capitals(question[best[0] : best[1]])
    return question[: best[0]].lower() + name + question[best[1] :].lower()


class KnownNames:
    """Names that are known with their capitals, to be found where a question has none.

    Args:
        names: Those of a single word, which may be any word, are left out.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_words = {
            tuple(words): name for name in names if len(words := _WORD.findall(name.lower())) > 1
        }
        self._lengths = sorted({len(words) for words in self._by_words}, reverse=True)

    def find(self, question: str) -> list[str]:
        """Return the known names that a question has in any case."""
        words = [POSSESSIVE.sub("", word) for word in _WORD.findall(question.lower())]
        return [
            self._by_words[run]
            for length in self._lengths
            for run in ngrams(words, length)
            if run in self._by_words
        ]


def _score(
    question: str, words: Sequence[re.Match[str]], start: int, end: int, tags: dict[int, Token]
) -> float:
    """Return how likely words are a name; below 0 if they are none."""
    run = words[start:end]
    plain = [POSSESSIVE.sub("", match[0]) for match in run]
    if plain[0] in PARTICLES or plain[-1] in PARTICLES:
        return -1.0
    if any(question[a.end() : b.start()] != " " for a, b in pairwise(run)):
        return -1.0
    if any(POSSESSIVE.search(match[0]) for match in run[:-1]):
        return -1.0
    parts = [(w, m) for w, m in zip(plain, run, strict=True) if w not in PARTICLES]
    if any(word in STOP_WORDS or len(word) < 2 for word, _ in parts):
        return -1.0
    before = words[start - 1][0] if start else ""
    if before in _DETERMINERS or re.search(r"\d\w?,? ?$", question[: run[0].start()]):
        return -1.0
    if end == len(words) and before not in _BEFORE_NAMES and _says_something(words, before):
        return -1.0
    if before in AUXILIARIES and len(parts) > 1 and _is_said(parts[-1][0], len(parts)):
        return -1.0
    score = 1.25 if len(parts) == 2 else 0.5 if len(parts) > 2 else 0.0
    score += 3.0 if POSSESSIVE.search(run[-1][0]) else 0.0
    score += 2.0 if before in AUXILIARIES else 1.5 if before in _BEFORE_NAMES else 0.0
    for word, match in parts:
        token = tags.get(match.start())
        tag = token.pos_ if token is not None else ""
        score += {"PROPN": 1.0, "VERB": -1.0, "ADV": -0.5}.get(tag, 0.0)
        score -= 5.0 if stem(word) in askable() else 0.0
    return score


def _says_something(words: Sequence[re.Match[str]], before: str) -> bool:
    """Return whether what a question says of somebody must be at its end, behind such a word."""
    opening, following = words[0][0], words[1][0] if len(words) > 1 else ""
    asks_whether = opening in AUXILIARIES | _REASONS and following not in _ASKED
    return asks_whether or before in AUXILIARIES - _COPULAS


def _is_said(word: str, place: int) -> bool:
    """Return whether the last word of a would-be name is what the question says instead.

    Surnames may be English words, such as Price and Young, but rarely adjectives alone; a third
    word that English has is taken for no surname.
    """
    kinds = parts_of_speech(word)
    return bool(kinds) and (place > 2 or kinds == ["adj"])


def _with_capitals(name: str) -> str:
    """Return a name with capitals; words that have capitals and small letters stay as they are."""
    return " ".join(
        w if w in PARTICLES or not (w.islower() or w.isupper()) else w.capitalize()
        for w in name.split()
    )
