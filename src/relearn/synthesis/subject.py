"""Whom or what a question is about."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from spacy.tokens import Doc

from relearn.data.records import Record

# What stands in a question with a capital, yet is seldom whom a forget set is about.
_PLACES_AND_TIMES = frozenset({"GPE", "LOC", "FAC", "DATE", "TIME", "NORP", "LANGUAGE", "CARDINAL"})
# A title in quotation marks, straight or curly.
QUOTED = re.compile(r"(?<!\w)[\"'\u201c\u2018](?=\w).+?[\"'\u201d\u2019](?!\w)")
_PARTICLES = frozenset("al bin ibn de del della di da dos van von der den la le".split())
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_BORN = r"\bborn (?:in|at|on)\b"
_POSSESSIVE = re.compile(r"['\u2019]s?$")
_PRONOUNS: dict[str, Literal["he", "she"]] = {
    "he": "he", "his": "he", "him": "he", "she": "she", "her": "she", "hers": "she",
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What a vague answer keeps.

    Attributes:
        name: The name in the question; else the question's own description, such as "the author".
        named: Whether `name` is a name.
        pronoun: The question's own, else "they": to choose one would give something away.
    """

    name: str
    named: bool = True
    pronoun: Literal["he", "she", "they"] = "they"

    @property
    def possessive(self) -> str:
        """The name with its possessive ending."""
        return f"{self.name}'s"


def find_subjects(records: Sequence[Record], questions: Sequence[Doc]) -> list[Subject]:
    """Find the subject of every record from its parsed question, where the record names none.

    Where a question holds several names, it is the one that most questions of the set hold.
    """
    candidates = [list(_names(question)) for question in questions]
    counts = Counter(name for names in candidates for name, _ in names)
    votes = Counter(vote for names in candidates for vote in names)

    def rank(name: str) -> tuple[int, bool, int]:
        place = sum(votes[name, label] for label in _PLACES_AND_TIMES)
        return counts[name], 2 * place <= counts[name], len(name)

    subjects = []
    for record, question, names in zip(records, questions, candidates, strict=True):
        best = max((name for name, _ in names), key=rank, default="")
        # A birthplace may be named more often than any person.
        birthplace = re.search(rf"{_BORN}(?: [\w'-]+,)* {re.escape(best)}", question.text)
        is_name = best and rank(best)[1] and not birthplace
        described = "" if is_name else _description(question)
        name = record.subject or described or best or "the subject of this question"
        pronouns = (_PRONOUNS.get(token.lower_) for token in question)
        named = bool(record.subject or not described) and name[:4] != "the "
        subjects.append(Subject(name, named, next(filter(None, pronouns), "they")))
    return subjects


def _names(question: Doc) -> Iterator[tuple[str, str]]:
    """Yield each run of capitalized words outside quotation marks, and its entity label.

    spaCy's own tokens cut a name at its hyphens, and its entities often miss foreign names.
    """
    quoted = [match.span() for match in QUOTED.finditer(question.text)]
    run: list[re.Match[str]] = []
    for match in [*_WORD.finditer(question.text), None]:
        joined = match and run and question.text[run[-1].end() : match.start()] == " "
        closed = not run or _POSSESSIVE.search(run[-1][0])
        if run and not (joined and not closed and match and _may_be_name(match[0], bool(run))):
            yield from _named(question, run)
            run = []
        if match and _may_be_name(match[0], bool(run)):
            if match.start() == 0 and question[0].pos_ != "PROPN":
                continue
            if not any(start <= match.start() < end for start, end in quoted):
                run.append(match)


def _may_be_name(word: str, within: bool) -> bool:
    return word[0].isupper() or (within and word in _PARTICLES)


def _named(question: Doc, run: list[re.Match[str]]) -> Iterator[tuple[str, str]]:
    while run and run[-1][0] in _PARTICLES:
        run.pop()
    start, end = run[0].start(), run[-1].end()
    name = _POSSESSIVE.sub("", question.text[start:end])
    if len(name) > 1 and not name.isupper():
        # The model takes foreign names for places; a place stands after its preposition.
        before = question.text[:start]
        placed = re.search(r"(?:\b(?:in|at|from|near|on|of)|,) $", before)
        born = re.search(_BORN, before)
        labels = (e.label_ for e in question.ents if e.start_char < end and start < e.end_char)
        yield name, "GPE" if born else next(labels, "") if placed else ""


def _description(question: Doc) -> str:
    """Return the noun that the question describes, with its article: "the author born in …"."""
    for token in question:
        described = any(child.dep_ in ("acl", "relcl", "prep") for child in token.children)
        if (
            described
            and token.tag_ == "NN"
            and token.is_alpha
            and token.lemma_ != "name"
            and token.dep_ != "nsubj"
        ):
            return f"the {token.lower_}"
    nouns = [
        t.lower_
        for t in question
        if t.tag_ == "NN" and t.is_alpha and t.lemma_ not in ("name", "kind")
    ]
    return f"the {nouns[-1]}" if nouns else ""
