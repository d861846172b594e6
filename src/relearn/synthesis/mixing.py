"""Generic questions and answers mixed in, so that a model does not learn to be vague throughout."""

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

from relearn.base.errors import UserError
from relearn.config import ModelConfig
from relearn.data.new_answers import NewAnswer
from relearn.data.records import Record, normalized
from relearn.data.sources import load_records
from relearn.inference.generation import generate_answers
from relearn.models.loading import load_prompt_format
from relearn.models.place import load_for_inference

Answerer = Callable[[Sequence[str]], list[str]]
_BATCH, _LONGEST = 32, 96


def answerer(folder: Path, config: ModelConfig) -> Answerer:
    """Return how the model in `folder` answers, loaded when it is first asked."""

    def answer(questions: Sequence[str]) -> list[str]:
        return generate_answers(
            load_for_inference(folder, config),
            load_prompt_format(folder, config),
            questions,
            batch_size=_BATCH,
            max_new_tokens=_LONGEST,
            title="self-distilled answers",
        )

    return answer


def generic_rows(
    count: int,
    source: str,
    seed: int,
    answer: Answerer | None = None,
    forgotten: Collection[str] = (),
) -> list[NewAnswer]:
    """Return rows of kind `generic`; where the source has too few, whole passes over it repeat.

    Args:
        count: How many.
        source: Any source of records, see `load_records`.
        seed: Fixes the order.
        answer: Answers the questions again (self-distillation); None keeps the source's answers.
        forgotten: Normalized questions that are to be forgotten, and so are none of these.

    Raises:
        UserError: the source can't be read, or all of its questions are to be forgotten.
    """
    if not count:
        return []
    records = [
        record
        for record in load_records(source, set_name="generic")
        if normalized(record.question) not in forgotten
    ]
    if not records:
        raise UserError(
            f"synthesis.generic: every question of {source} is to be forgotten.",
            "Name another source, or set synthesis.generic_ratio=0.",
        )
    chosen = list(islice(_passes(records, random.Random(seed)), count))
    if answer:
        asked = list({record.question: None for record in chosen})
        answers = dict(zip(asked, answer(asked), strict=True))
    else:
        answers = {record.question: record.answer for record in chosen}
    return [
        NewAnswer(
            source_id=record.id,
            source_question=record.question,
            question=record.question,
            answer=answers[record.question],
            kind="generic",
        )
        for record in chosen
        if answers[record.question]
    ]


def _passes(records: Sequence[Record], rng: random.Random) -> Iterator[Record]:
    while True:
        yield from rng.sample(records, len(records))
