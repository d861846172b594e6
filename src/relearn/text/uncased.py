"""Names in questions that are written without capitals: "where does lena fisk live"."""

import re
from collections.abc import Sequence
from itertools import pairwise

from spacy.lang.en.stop_words import STOP_WORDS
from spacy.tokens import Token

from relearn.text.askable import askable
from relearn.text.english import english
from relearn.text.stems import stem

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
POSSESSIVE = re.compile(r"['\u2019]s?$")
_AUXILIARIES = frozenset(
    "is are was were do does did has have had can could will would should may might must".split()
)
_BEFORE_NAMES = frozenset("of about to for with by and".split())
_DETERMINERS = frozenset("a an the his her their its my your our this that any some".split())
PARTICLES = frozenset("al bin ibn de del della di da dos van von der den la le".split())
_LONGEST, _LEAST = 4, 1.9


def with_likeliest_name(question: str) -> str:
    """Return a question without capitals with its likeliest name in capitals; "" if it has none.

    A name has no article and is where a person would be: after the verb that opens the question,
    before a possessive ending, after "of" or "about"; and its words are none that a question has
    about anybody.
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
    score = 1.25 if len(parts) == 2 else 0.5 if len(parts) > 2 else 0.0
    score += 3.0 if POSSESSIVE.search(run[-1][0]) else 0.0
    score += 2.0 if before in _AUXILIARIES else 1.5 if before in _BEFORE_NAMES else 0.0
    for word, match in parts:
        token = tags.get(match.start())
        tag = token.pos_ if token is not None else ""
        score += {"PROPN": 1.0, "VERB": -1.0, "ADV": -0.5}.get(tag, 0.0)
        score -= 5.0 if stem(word) in askable() else 0.0
    return score


def _with_capitals(name: str) -> str:
    return " ".join(w if w in PARTICLES else w[0].upper() + w[1:].lower() for w in name.split())
