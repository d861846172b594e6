"""Whom or what a question is about, and what it asks about them."""

import re
from dataclasses import dataclass

from spacy.tokens import Doc, Span

from relearn.data.records import Record

_SMALL_WORDS = frozenset(
    "a an the his her its their this that these those what which whose who whom how kind sort type "
    "way ways any some".split()
)


@dataclass(frozen=True)
class Subject:
    """What a vague answer may keep: the subject, and the question's own words for the topic.

    Attributes:
        name: Of the subject; "the person" where the question names none.
        topic: A phrase of common words from the question, such as "mother's profession".
    """

    name: str
    topic: str

    @property
    def possessive(self) -> str:
        """The name with its possessive ending."""
        return f"{self.name}'s"


def find_subject(record: Record, question: Doc) -> Subject:
    """Find subject and topic of a parsed question.

    Names and numbers other than the subject's never enter the topic: a question may itself hold
    what another record's answer is to hide.
    """
    name = record.subject or _name(question)
    taken = {word.lower() for word in name.split()}
    topics = [topic for chunk in question.noun_chunks if (topic := _topic(chunk, taken))]
    # The last phrase is what is asked for, more often than not ("How do X's parents influence
    # her writing" is about both); the longest says most.
    topic = max(topics, key=len, default="this")
    return Subject(name or "the person", topic if topic == "this" else f"the {topic}")


def _name(question: Doc) -> str:
    people = [entity for entity in question.ents if entity.label_ == "PERSON"]
    if people:
        return _bare(max(people, key=len))
    proper = [
        chunk
        for chunk in question.noun_chunks
        if chunk.root.pos_ == "PROPN" or any(token.pos_ == "PROPN" for token in chunk)
    ]
    names = [" ".join(token.text for token in chunk if token.pos_ == "PROPN") for chunk in proper]
    return max(names, key=len, default="")


def _bare(span: Span) -> str:
    return re.sub(r"['’]s?$", "", span.text).strip()


def _topic(chunk: Span, taken: set[str]) -> str:
    """Return the common words of a noun phrase, without the subject and what belongs to it."""
    words = []
    for token in chunk:
        if token.pos_ in ("PROPN", "NUM", "PRON", "DET") or token.ent_type_ or token.like_num:
            words.clear()
        elif token.tag_ == "POS":
            if words:
                words[-1] += token.text
        elif token.lower_ not in _SMALL_WORDS | taken and token.is_alpha:
            words.append(token.lower_)
    return " ".join(words) if chunk.root.pos_ == "NOUN" else ""
