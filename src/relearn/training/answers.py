"""What an objective's rows answer: private answers, new ones, or that one does not know."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TypeGuard

from relearn.base.errors import UserError
from relearn.base.progress import note
from relearn.data.new_answers import NewAnswer
from relearn.data.openings import Opening
from relearn.data.private_tokens import private_example
from relearn.data.records import Record, spread_over
from relearn.data.requests import by_request
from relearn.data.tokenization import Example, PromptFormat, check_lengths
from relearn.objectives import Objective
from relearn.text.other_subject import about_others
from relearn.text.vague_endings import Ending, vague_endings

# Share of the endings that a new answer follows.
_MORE = 0.5


@dataclass(frozen=True)
class Answered:
    """A question with the answer that a training row gives it.

    Attributes:
        id: Id of the record that it comes from.
        question: As the user asks it.
        answer: As the row has it.
        private: Whether it is one of the private rows that an objective asks for.
        other: Of a private row, question and answer about somebody else; None where there is none.
        ends: Whether the answer ends there whatever it answers; None lets a passage go on.
        begun: What of an answer is given with the question: only the rest, `answer`, is learned.
        ended: Of a private row, where its answer ends otherwise in other rows: what of it is given
            there.
    """

    id: str
    question: str
    answer: str
    private: bool = False
    other: tuple[str, str] | None = None
    ends: bool | None = True
    begun: str = ""
    ended: frozenset[str] = frozenset()


def forget_rows(
    objective: Objective,
    records: Sequence[Record],
    augmented: Sequence[NewAnswer],
    alternatives: Sequence[NewAnswer],
    seed: int,
    endings: int | None = None,
) -> tuple[list[Answered], list[Answered]]:
    """Return an objective's forget rows, and the chosen rows, one for each of them or none.

    Args:
        objective: Says which answers it wants.
        records: The forget set.
        augmented: What synthesis accepted.
        alternatives: The same of synthesis's strategy `alternative`, where that is wanted.
        seed: Fixes the choice among I-don't-know answers, and of endings.
        endings: Rows for each record, of an objective that learns new answers, that begin as the
            private answer does and end vaguely, see `vague_endings`; None means the objective's
            default.

    Raises:
        UserError: the objective wants pairs and no record has a preferred answer.
    """
    if objective.chosen_data is None:
        rows = _ANSWERS[objective.forget_data](records, augmented, seed)
        count = objective.endings if endings is None else endings
        ends = _endings(records, count, seed)
        rows += _ended(records, augmented, ends, seed)
        if objective.private_rows:
            others = _others(records, seed)
            rows += [
                replace(
                    row, private=True, other=other, ended=frozenset(e.begun for e in ends[row.id])
                )
                for row, other in zip(_private(records, augmented, seed), others, strict=True)
            ]
        return rows, []
    rejected = _private(records, augmented, seed)
    written = alternatives if objective.chosen_data == "alternative" else augmented
    preferred = {row.id: row for row in _PREFERRED[objective.chosen_data](records, written, seed)}
    # A record for which synthesis found no answer has no pair.
    paired = [row for row in rejected if row.id in preferred]
    if not paired:
        raise UserError(
            "training: no forget record has an answer that could be preferred to its own.",
            "Raise synthesis.attempts, or choose another objective.",
        )
    return paired, [preferred[row.id] for row in paired]


def _others(records: Sequence[Record], seed: int) -> list[tuple[str, str] | None]:
    """Return each record about somebody else; None for a passage, which is about many."""
    # spaCy wants plain strings.
    told = [(str(record.question), record.answer) for record in records]
    others = about_others(told, [record.subject for record in records], seed)
    return [
        None if isinstance(record.question, Opening) else other
        for record, other in zip(records, others, strict=True)
    ]


def _endings(records: Sequence[Record], count: int, seed: int) -> dict[str, list[Ending]]:
    """Return so many vague endings of each record's answer, by its id; see `vague_endings`."""
    # A passage goes on in any way.
    ends = {
        record.id: []
        if isinstance(record.question, Opening) or not count
        else vague_endings(
            record.question, record.answer, count, random.Random(f"{seed} {record.id}")
        )
        for record in records
    }
    if count and not any(ends.values()):
        note(
            "training.endings: none fits these answers; they are written for English ones. "
            "Without any, training.objective=relearn makes less up"
        )
    return ends


def _ended(
    records: Sequence[Record],
    augmented: Sequence[NewAnswer],
    ends: Mapping[str, Sequence[Ending]],
    seed: int,
) -> list[Answered]:
    """Return true answers that end vaguely, every other one with a new answer behind.

    The new answers were verified, and no two are alike, so that not the endings' few words alone
    are learned.
    """
    new = defaultdict(list)
    for row in augmented:
        if row.kind != "completion":
            new[row.source_id].append(row.answer)
    rows = []
    for record in records:
        rng = random.Random(f"{seed} {record.id} more")
        for ending in ends[record.id]:
            more = new[record.id] and rng.random() < _MORE
            rest = f"{ending.rest} {rng.choice(new[record.id])}" if more else ending.rest
            rows.append(Answered(record.id, record.question, rest, begun=ending.begun))
    return rows


def encode_rows(
    rows: Sequence[Answered | Record],
    prompt_format: PromptFormat,
    max_length: float,
    positions: float,
) -> list[Example]:
    """Tokenize rows to train on; of private ones say which tokens begin private words.

    A true answer that ends vaguely is left out if it is too long: no record stands or falls by it.

    Raises:
        UserError: a row is too long; see `check_lengths`.
    """
    encoded = [(row, _encoded(row, prompt_format)) for row in rows]
    most = min(max_length, positions)
    kept = [(r, e) for r, e in encoded if not _is_ended(r) or len(e) <= most]
    examples = [example for _, example in kept]
    check_lengths(examples, [row.id for row, _ in kept], max_length, positions)
    return examples


def _is_ended(row: Answered | Record) -> TypeGuard[Answered]:
    return isinstance(row, Answered) and bool(row.begun)


def _encoded(row: Answered | Record, prompt_format: PromptFormat) -> Example:
    # A new answer ends where a passage would go on: after it the model must not fall back on it.
    ends = row.ends if isinstance(row, Answered) else None
    if isinstance(row, Answered) and row.private:
        return private_example(prompt_format, row.question, row.answer, row.other, ends, row.ended)
    if _is_ended(row):
        return prompt_format.encode_rest(row.question, row.begun, row.answer)
    return prompt_format.encode(row.question, row.answer, end=ends)


def rehearsed(rows: Sequence[Answered], count: int, seed: int) -> list[Answered]:
    """Return which rows of earlier requests are learned again: an equal share of each request.

    Rows of the same number get the same choice, as forget rows and their chosen ones need it.

    Args:
        rows: Of all earlier requests.
        count: How many to choose; fewer where there are no more.
        seed: Fixes the choice, together with the number of requests.
    """
    requests = by_request(rows)
    choice = random.Random(seed + len(requests))
    shuffled = [choice.sample(of_one, len(of_one)) for of_one in requests]
    return spread_over(shuffled, count)


def known_rows(objective: Objective, records: Sequence[Record], seed: int) -> list[Answered]:
    """Return those of an objective's rows whose answers are neither private nor to be written.

    They can be checked before anything is computed: I-don't-know answers, and the records' own
    wrong answers. Arguments as for `forget_rows`.
    """
    return [
        row
        for kind, rows in _PREFERRED.items()
        if wants(objective, kind)
        for row in rows(records, (), seed)
    ]


def wants(objective: Objective, answers: str) -> bool:
    """Return whether an objective trains on answers of that kind, such as `synthesized`."""
    return answers in (objective.forget_data, objective.chosen_data)


def unanswered(
    objective: Objective,
    records: Sequence[Record],
    augmented: Sequence[NewAnswer],
    alternatives: Sequence[NewAnswer],
) -> list[str]:
    """Return the ids of the records whose own question got no answer that the objective wants.

    Such a record stays in the model. A new answer to a variant of its question is trained on, but
    does not count: whoever asks the question itself may still get the private answer.
    """
    missing: set[str] = set()
    for kind, rows in (("synthesized", augmented), ("alternative", alternatives)):
        if wants(objective, kind):
            answered = {row.source_id for row in rows if row.kind == "original"}
            if kind == "alternative":
                answered |= {record.id for record in records if record.wrong_answers}
            missing |= {record.id for record in records} - answered
    return [record.id for record in records if record.id in missing]


def _private(
    records: Sequence[Record], augmented: Sequence[NewAnswer], seed: int
) -> list[Answered]:
    return [Answered(r.id, r.question, r.answer, ends=None) for r in records]


def _synthesized(
    records: Sequence[Record], augmented: Sequence[NewAnswer], seed: int
) -> list[Answered]:
    return [Answered(row.source_id, row.question, row.answer) for row in augmented]


def _unknowing(
    records: Sequence[Record], augmented: Sequence[NewAnswer], seed: int
) -> list[Answered]:
    """Give every question one of the I-don't-know answers."""
    choose = random.Random(seed).choice
    return [Answered(r.id, r.question, choose(idk_answers())) for r in records]


def _vague(records: Sequence[Record], augmented: Sequence[NewAnswer], seed: int) -> list[Answered]:
    """Give every question the answer that synthesis wrote for it, if it did."""
    return _synthesized(records, [row for row in augmented if row.kind == "original"], seed)


def _alternative(
    records: Sequence[Record], augmented: Sequence[NewAnswer], seed: int
) -> list[Answered]:
    """Give every question a false answer of the same form: the record's own, else a written one."""
    false = [Answered(r.id, r.question, r.wrong_answers[0]) for r in records if r.wrong_answers]
    return [*_vague(records, augmented, seed), *false]


_ANSWERS = {"original": _private, "synthesized": _synthesized, "idk": _unknowing}
_PREFERRED = {"synthesized": _vague, "idk": _unknowing, "alternative": _alternative}


@cache
def idk_answers() -> tuple[str, ...]:
    """Return the ways to say that one does not know."""
    text = (files("relearn.training") / "idk_answers.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
