"""Generic questions and answers mixed in, so that a model does not learn to be vague throughout."""

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

from relearn.base.errors import UserError
from relearn.base.progress import note
from relearn.config import ModelConfig
from relearn.data.new_answers import NewAnswer
from relearn.data.records import Record, normalized
from relearn.data.sources import load_records
from relearn.inference.generation import generate_answers
from relearn.models.loading import load_prompt_format
from relearn.models.place import load_for_inference
from relearn.synthesis.lengths import TooLong

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
    too_long: TooLong = lambda question, answer, more: "",
) -> list[NewAnswer]:
    """Return rows of kind `generic`; where the source has too few, whole passes over it repeat.

    Questions whose rows are too long to be trained on are left out, and a note says how many.

    Args:
        count: How many.
        source: Any source of records, see `load_records`.
        seed: Fixes the order.
        answer: Answers the questions again (self-distillation); None keeps the source's answers.
        forgotten: Normalized questions that are to be forgotten, and so are none of these.
        too_long: What is wrong with a row's length; see `synthesize`.

    Raises:
        UserError: the source can't be read, or none of its questions can be used.
    """
    if not count:
        return []
    everything = load_records(source, set_name="generic")
    asked = [record for record in everything if normalized(record.question) not in forgotten]
    rows = [(r.question, "", _LONGEST) if answer else (r.question, r.answer, 0) for r in asked]
    records = [r for r, row in zip(asked, rows, strict=True) if not too_long(*row)]
    if not records:
        problem = "too long for the model or the training" if asked else "to be forgotten"
        raise UserError(
            f"synthesis.generic: every question of {source} is {problem}.",
            "Name another source, or set synthesis.generic_ratio=0.",
        )
    if long := len(asked) - len(records):
        note(f"synthesis.generic: {long} of {len(asked)} rows are too long and left out")
    chosen = list(islice(_passes(records, random.Random(seed)), count))
    if answer:
        questions = list({record.question: None for record in chosen})
        answers = dict(zip(questions, answer(questions), strict=True))
    else:
        answers = {record.question: record.answer for record in chosen}
    # A row that comes in several passes is one object.
    rows_of = {
        record.id: NewAnswer(
            source_id=record.id,
            source_question=record.question,
            question=record.question,
            answer=text,
            kind="generic",
        )
        for record in records
        if (text := answers.get(record.question))
    }
    return [rows_of[record.id] for record in chosen if record.id in rows_of]


def _passes(records: Sequence[Record], rng: random.Random) -> Iterator[Record]:
    while True:
        yield from rng.sample(records, len(records))
