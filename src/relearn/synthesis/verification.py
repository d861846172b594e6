"""What a candidate must pass before it is trained on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from spacy.tokens import Doc

from relearn.synthesis.subject import Subject

# Cosine (MiniLM) between a question and an answer that is about it.
RELEVANT_FROM = 0.3
WORDS = range(6, 61)

_EXACT = re.compile(
    r"https?://\S+|www\.\S+"  # URL
    r"|[\w.+-]+@[\w-]+\.[\w.-]*\w"  # e-mail
    r"|\+?\d[\d\s()/.-]{5,}\d"  # phone, or a date in digits
)
_NUMBER_WORDS = frozenset(
    "two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty "
    "hundred thousand million first second third".split()
)


@dataclass(frozen=True)
class Secrets:
    """What of a private answer may not survive.

    Attributes:
        words: Names, numbers and parts of addresses, lower-cased.
        phrases: Pairs of neighbouring content words, by lemma.
        strings: URLs, e-mails, phone numbers, verbatim.
    """

    words: frozenset[str]
    phrases: frozenset[tuple[str, str]]
    strings: tuple[str, ...]


def find_secrets(answer: Doc, question: Doc, subject: Subject) -> Secrets:
    """Collect what is private in an answer: what neither its question nor the subject says."""
    public = _words(question) | {word.lower() for word in re.findall(r"\w+", subject.name)}
    return Secrets(
        words=frozenset(_identifying(answer) - public),
        phrases=frozenset(_phrases(answer) - _phrases(question)),
        strings=tuple(s for s in _EXACT.findall(answer.text) if s not in question.text),
    )


def leaked(secrets: Secrets, candidate: Doc) -> str:
    """Return what of the secrets a candidate gives away, in words for the record; "" if nothing."""
    if any(string.lower() in candidate.text.lower() for string in secrets.strings):
        return "gives away an address, number or link"
    if secrets.words & _words(candidate):
        return "gives away a name or number"
    if secrets.phrases & _phrases(candidate):
        return "gives away a phrase"
    return ""


def malformed(text: str) -> str:
    """Return what is wrong with a text as language; "" if nothing."""
    words = text.split()
    if len(words) not in WORDS:
        return f"has {len(words)} words, not {WORDS.start} to {WORDS.stop - 1}"
    if len(set(words)) < 0.5 * len(words):
        return "repeats itself"
    if re.search(r"[{}<>\x00-\x08]", text):
        return "has characters that belong in no sentence"
    return ""


def near_duplicate(text: str, others: Sequence[str]) -> bool:
    """Return whether a text is one of the others but for case, marks and spaces."""
    folded = _folded(text)
    return any(_folded(other) == folded for other in others)


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _words(doc: Doc) -> set[str]:
    return {form for token in doc for form in (token.lower_, token.lemma_.lower())}


def _identifying(doc: Doc) -> set[str]:
    """Names, numbers, and all words of named entities but the smallest."""
    return {
        token.lower_
        for token in doc
        if token.pos_ == "PROPN"
        or token.like_num
        or token.lower_ in _NUMBER_WORDS
        or any(letter.isdigit() for letter in token.text)
        or (token.ent_type_ and not token.is_stop and token.is_alpha)
    }


def _phrases(doc: Doc) -> set[tuple[str, str]]:
    content = [
        token.lemma_.lower() if token.pos_ in ("NOUN", "PROPN", "ADJ", "VERB", "NUM") else ""
        for token in doc
        if not token.is_space
    ]
    return {(a, b) for a, b in pairwise(content) if a and b}
