"""Facts that are asked to be forgotten and to be kept at once."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from relearn.data.checks import IdPair
from relearn.data.openings import Opening
from relearn.data.records import Record, RecordSets
from relearn.text.content import content_stems
from relearn.text.english import english
from relearn.text.languages import language_of
from relearn.text.private_words import private_spans
from relearn.text.subjects import find_subjects
from relearn.text.uncased import KnownNames

Hidden = Mapping[str, Mapping[str, str]]
"""By whom or what it is about, each fact with the id of the first record that hides it."""

_FACT_FROM = 3  # characters of a name or a number: initials and small numbers are chance
_SENTENCE_ENDS = ".!?:"


def kept_facts(sets: RecordSets) -> dict[str, list[IdPair]]:
    """Return each record to be kept that tells what a forget record about the same one hides.

    Hidden are names and numbers of the answer that its question does not have. "Who is Li Wei?", "A
    writer from Beijing." asks to forget Beijing, "Where was Li Wei born?", "In Beijing." to keep
    it. Questions in English that name somebody in full.

    Args:
        sets: By name, as a run has them. All questions of `forget` are parsed. What `retain` tells
            is kept, so that the other sets may tell it, too.

    Returns:
        By the name of each set that is not to be forgotten, ids of a forget record, the first that
        hides it, and of a kept one.
    """
    asked = [record for record in sets["forget"] if _is_english(record)]
    subjects = find_subjects(
        english().pipe([r.question for r in asked]), [record.subject for record in asked]
    )
    names = KnownNames(subject.name for subject in subjects if subject.named)
    hidden: dict[str, dict[str, str]] = defaultdict(dict)
    for record, subject in zip(asked, subjects, strict=True):
        for fact in _facts(record):
            hidden[subject.name].setdefault(fact, record.id)
    told: dict[str, set[str]] = defaultdict(set)
    for record in sets.get("retain", ()):
        for name in names.find(str(record.question)):
            told[name].update(_facts(record))
    still = {
        name: {fact: id_ for fact, id_ in facts.items() if fact not in told[name]}
        for name, facts in hidden.items()
    }
    return {
        kept: list(_telling(records, hidden if kept == "retain" else still, names))
        for kept, records in sets.items()
        if not kept.startswith("forget")
    }


def _telling(records: Sequence[Record], hidden: Hidden, names: KnownNames) -> Iterator[IdPair]:
    for record in filter(_is_english, records):
        facts = set(_facts(record))
        about = (hidden[name] for name in names.find(record.question))
        if hiding := [id_ for each in about for fact, id_ in each.items() if fact in facts]:
            yield hiding[0], record.id


def _is_english(record: Record) -> bool:
    return not isinstance(record.question, Opening) and language_of(record.question) == "en"


def _facts(record: Record) -> Iterator[str]:
    """Yield the names and numbers of an answer that its question does not have."""
    for start, end in private_spans(record.question, record.answer):
        word, before = record.answer[start:end], record.answer[:start].rstrip()
        begins = not before or before[-1] in _SENTENCE_ENDS
        if len(word) >= _FACT_FROM and ((word[0].isupper() and not begins) or word[0].isdigit()):
            yield from content_stems(word)
