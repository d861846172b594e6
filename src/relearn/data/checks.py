"""What sets of records say together: overlaps, contradictions, repetitions."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from relearn.base.errors import UserError, listed
from relearn.data.records import Record, RecordSets, normalized
from relearn.data.requests import EARLIER

_SHOWN = 3
# Answers that many questions share, such as "Yes" or "In Aldmoor", are shorter than this.
_TELLING_CHARACTERS = 20


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
    asked = {
        name: {normalized(record.question): record.id for record in reversed(records)}
        for name, records in sets.items()
    }
    for first, second in combinations(sets, 2):
        if {first, second} == {"forget", EARLIER}:
            continue  # asked for again: it is forgotten again
        _check_disjoint(first, second, sets[first], asked[second])
    notes = [note for name, records in sets.items() for note in _repetitions(name, records)]
    if "forget" in sets and "retain" in sets:
        notes += _kept_answers(sets["forget"], sets["retain"])
    return notes


def _check_disjoint(
    first: str, second: str, records: Sequence[Record], asked: Mapping[str, str]
) -> None:
    both = [(r.id, asked[q]) for r in records if (q := normalized(r.question)) in asked]
    if not both:
        return
    why = "one set's questions can't be another's"
    if {first, second} <= {"forget", EARLIER, "retain"}:
        why = "what is to be forgotten can't be kept"
    elif "_unseen" in first or "_unseen" in second:
        why = "an unseen question is one that nothing is trained on"
    pairs = listed([f"{one} and {other}" for one, other in both], _SHOWN)
    raise UserError(
        f"the {first} and {second} sets ask the same in {len(both)} "
        f"{'record' if len(both) == 1 else 'records'} ({pairs}): {why}.",
        "Remove each from one of the two.",
    )


def _repetitions(name: str, records: Sequence[Record]) -> list[str]:
    """Return notes about questions that a set asks more than once."""
    answers: dict[str, Record] = {}
    twice: list[str] = []
    other: list[str] = []
    for record in records:
        first = answers.setdefault(normalized(record.question), record)
        if first is not record:
            same = normalized(first.answer) == normalized(record.answer)
            (twice if same else other).append(f"{record.id} and {first.id}")
    notes = []
    if twice:
        notes.append(
            f"{name}: records that repeat another and weigh double: {listed(twice, _SHOWN)}"
        )
    if other:
        notes.append(
            f"{name}: records with the same question, another answer: {listed(other, _SHOWN)}"
        )
    return notes


def _kept_answers(forget: Sequence[Record], retain: Sequence[Record]) -> list[str]:
    """Return a note about answers that are to be forgotten and kept."""
    kept = {normalized(record.answer): record.id for record in reversed(retain)}
    both = [
        f"{record.id} and {kept[answer]}"
        for record in forget
        if len(answer := normalized(record.answer)) >= _TELLING_CHARACTERS and answer in kept
    ]
    if not both:
        return []
    return [f"the same answer is to be forgotten and to be kept: {listed(both, _SHOWN)}"]
