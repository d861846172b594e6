"""Whom or what a question is about, and what it asks about them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from spacy.tokens import Doc, Span, Token

from relearn.data.records import Record

# Words that a phrase can do without, and nouns of the question's form rather than its matter.
_SMALL_WORDS = frozenset(
    "a an the his her its their this that these those any some what which whose who whom how "
    "kind sort type way ways significance meaning role influence impact part".split()
)


@dataclass(frozen=True)
class Subject:
    """What a vague answer may keep: the subject, and the question's own words.

    Attributes:
        name: Of the subject; "the person" where the question names none.
        topics: Phrases of common words from the question, such as "mother's profession", each with
            whether it is in the plural.
    """

    name: str
    topics: tuple[tuple[str, bool], ...]

    @property
    def possessive(self) -> str:
        """The name with its possessive ending."""
        return f"{self.name}'s"


def find_subjects(records: Sequence[Record], questions: Sequence[Doc]) -> list[Subject]:
    """Find the subject of every record, and the topics of its parsed question.

    Where a question holds several names, the one that most questions of the set hold is the
    subject. Other names and numbers never enter a topic: a question may itself hold what another
    record's answer is to hide.
    """
    candidates = [_names(question) for question in questions]
    counts = Counter(name for names in candidates for name in names)
    subjects = []
    for record, question, names in zip(records, questions, candidates, strict=True):
        name = record.subject or max(names, key=lambda n: (counts[n], len(n)), default="")
        taken = {word.lower() for word in name.split()}
        phrases = (_topic(chunk, taken) for chunk in question.noun_chunks)
        subjects.append(Subject(name or "the person", tuple(p for p in phrases if p[0])))
    return subjects


def _names(question: Doc) -> list[str]:
    people = [entity for entity in question.ents if entity.label_ == "PERSON"]
    spans = [re.sub(r"['\u2019]s?$", "", span.text).strip() for span in people]
    runs = [" ".join(t.text for t in run) for is_name, run in _runs(question) if is_name]
    return sorted({name for name in (*spans, *runs) if name})


def _runs(question: Doc) -> Iterator[tuple[bool, Iterator[Token]]]:
    return groupby(question, key=lambda token: token.pos_ == "PROPN")


def _topic(chunk: Span, taken: set[str]) -> tuple[str, bool]:
    """Return the common words of a noun phrase, without the subject and what belongs to it."""
    words: list[str] = []
    for token in chunk:
        if token.pos_ in ("PROPN", "NUM", "PRON", "DET") or token.ent_type_ or token.like_num:
            words.clear()
        elif token.tag_ == "POS":
            if words:
                words[-1] += token.text
        elif token.lower_ not in _SMALL_WORDS | taken and token.is_alpha:
            words.append(token.lower_)
    plural = chunk.root.tag_ in ("NNS", "NNPS")
    return (" ".join(words) if chunk.root.pos_ == "NOUN" else "", plural)
