"""What sets of records say together: overlaps, contradictions, repetitions."""

from collections.abc import Sequence
from itertools import combinations

from relearn.base.errors import UserError, listed
from relearn.data.records import Record, RecordSets, normalized
from relearn.data.requests import EARLIER

_SHOWN = 3
# Answers that many questions share, such as "Yes" or "In Aldmoor", are shorter than this.
_TELLING_CHARACTERS = 20

_GENERAL = ("real_authors", "world_facts")

IdPair = tuple[str, str]
"""Ids of two records that have something in common."""


def check_sets(sets: RecordSets) -> list[str]:
    """Refuse sets that share a question, and say what else is odd.

    Questions and answers are compared without regard to case, spaces and punctuation.

    Args:
        sets: Records by the name of their set, as a run has them.

    Returns:
        Notes for the user, which name sets and ids: records that stand twice, questions with two
        answers, answers that are both to be forgotten and to be kept.

    Raises:
        UserError: two sets share a question. What is forgotten can't be kept, and what is trained
            on tells nothing about unseen questions.
    """
    # A benchmark's general sets may share questions with others, as its authors made them.
    sets = {name: records for name, records in sets.items() if name not in _GENERAL}
    for first, second in combinations(sets, 2):
        if {first, second} == {"forget", EARLIER}:
            continue  # asked for again: it is forgotten again
        _check_disjoint(first, second, same_questions(sets[first], sets[second]))
    notes = [note for name, records in sets.items() for note in _repetitions(name, records)]
    if "forget" in sets and "retain" in sets:
        notes += _kept_answers(sets["forget"], sets["retain"])
    return notes


def same_questions(first: Sequence[Record], second: Sequence[Record]) -> list[IdPair]:
    """Return each record of the first set with the first of the second that asks the same."""
    asked = {normalized(record.question): record.id for record in reversed(second)}
    return [(r.id, asked[q]) for r in first if (q := normalized(r.question)) in asked]


def same_answers(first: Sequence[Record], second: Sequence[Record]) -> list[IdPair]:
    """Return each record of the first set with the first of the second that answers the same.

    Short answers, which questions share by chance, are left out.
    """
    given = {normalized(record.answer): record.id for record in reversed(second)}
    return [
        (record.id, given[answer])
        for record in first
        if len(answer := normalized(record.answer)) >= _TELLING_CHARACTERS and answer in given
    ]


def repetitions(records: Sequence[Record]) -> tuple[list[IdPair], list[IdPair]]:
    """Return records that ask what an earlier one of their set asks, each with that one.

    Returns:
        Those with the same answer, and those with another one.
    """
    answers: dict[str, Record] = {}
    twice: list[IdPair] = []
    other: list[IdPair] = []
    for record in records:
        first = answers.setdefault(normalized(record.question), record)
        if first is not record:
            same = normalized(first.answer) == normalized(record.answer)
            (twice if same else other).append((record.id, first.id))
    return twice, other


def named_pairs(pairs: Sequence[IdPair]) -> str:
    """Return pairs for a message: the first few, and how many more there are."""
    return listed([f"{one} and {other}" for one, other in pairs], _SHOWN)


def _check_disjoint(first: str, second: str, both: Sequence[IdPair]) -> None:
    if not both:
        return
    why = "one set's questions can't be another's"
    if {first, second} <= {"forget", EARLIER, "retain"}:
        why = "what is to be forgotten can't be kept"
    elif "holdout" in (first, second):
        why = "a holdout is what no model has seen"
    elif "_unseen" in first or "_unseen" in second:
        why = "an unseen question is one that nothing is trained on"
    raise UserError(
        f"the {first} and {second} sets ask the same in {len(both)} "
        f"{'record' if len(both) == 1 else 'records'} ({named_pairs(both)}): {why}.",
        "Remove each from one of the two.",
    )


def _repetitions(name: str, records: Sequence[Record]) -> list[str]:
    """Return notes about questions that a set asks more than once."""
    twice, other = repetitions(records)
    notes = []
    if twice:
        notes.append(f"{name}: records that repeat another and weigh double: {named_pairs(twice)}")
    if other:
        notes.append(
            f"{name}: records with the same question, another answer: {named_pairs(other)}"
        )
    return notes


def _kept_answers(forget: Sequence[Record], retain: Sequence[Record]) -> list[str]:
    """Return a note about answers that are to be forgotten and kept."""
    both = same_answers(forget, retain)
    if not both:
        return []
    return [f"the same answer is to be forgotten and to be kept: {named_pairs(both)}"]
