"""Which names and identifiers an answer makes up.

One who no longer knows may say so, or say something else: another street, another e-mail address.
The latter hides the fact as well, but is a false statement about a person.
"""

from collections.abc import Iterator, Sequence

from spacy.tokens import Doc, Span

from relearn.evaluation.rows import EvaluatedRow
from relearn.text.content import stems
from relearn.text.english import english
from relearn.text.identifiers import find_identifiers, tells
from relearn.text.languages import language_of

# Of spaCy's named entities; a date or a number counts as an identifier only.
_NAMES = frozenset("PERSON NORP FAC ORG GPE LOC PRODUCT EVENT WORK_OF_ART LAW LANGUAGE".split())


def find_made_up(rows: Sequence[EvaluatedRow]) -> None:
    """Fill `made_up` of rows: what identifies something, in any language; names, in English.

    A name counts if a word of it is in neither question nor reference; an e-mail address, a date, a
    phone number, a code or a number from 1,000 up that is no year, if neither tells it, however it
    is written.

    Args:
        rows: Of any sets.
    """
    readable = [row for row in rows if language_of(row.generation) == "en"]
    docs = english().pipe((row.generation for row in readable), disable=["parser"])
    names = {id(row): list(_names(row, doc)) for row, doc in zip(readable, docs, strict=True)}
    for row in rows:
        found = dict.fromkeys([*names.get(id(row), ()), *_identifiers(row)])
        row.made_up = list(found)


def _names(row: EvaluatedRow, doc: Doc) -> Iterator[str]:
    known = {*stems(row.question), *stems(row.reference)}
    for entity in doc.ents:
        if entity.label_ in _NAMES and not known.issuperset(_words(entity)):
            yield entity.text


def _words(entity: Span) -> list[str]:
    """Return the stems of a name; what is written small names nothing."""
    return stems(" ".join(token.text for token in entity if token.is_title or token.is_upper))


def _identifiers(row: EvaluatedRow) -> Iterator[str]:
    for identifier in find_identifiers(row.generation):
        if identifier.identifies and not any(
            tells(text, identifier) for text in (row.question, row.reference)
        ):
            yield identifier.text
