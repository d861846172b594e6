"""Whether a model can do what a run asks of it, found without loading its weights."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from transformers import PreTrainedModel

from relearn.base.errors import UserError
from relearn.config import ModelConfig, TrainingConfig
from relearn.data.records import RecordSets
from relearn.data.tokenization import Example, PromptFormat, check_lengths
from relearn.models.loading import load_blank_model, load_prompt_format, position_limit


def check_model(
    folder: Path,
    config: ModelConfig,
    trainings: Sequence[TrainingConfig],
    trained: RecordSets,
    asked: RecordSets,
    max_new_tokens: int,
) -> PreTrainedModel:
    """Check a model's files, its prompts and the length of every record.

    Args:
        folder: Of the model.
        config: How it is loaded and asked.
        trainings: What it will be trained by.
        trained: The sets that it is trained on.
        asked: The sets whose questions it answers.
        max_new_tokens: Longest answer.

    Returns:
        The model without its weights, for further checks.

    Raises:
        UserError: the first thing that would not work.
    """
    blank = load_blank_model(folder, config)
    prompt_format = load_prompt_format(folder, config)
    check_arguments(prompt_format, config)
    positions = position_limit(blank.config)
    longest = min((training.max_length for training in trainings), default=math.inf)
    for records in trained.values():
        ids = [record.id for record in records]
        examples = (prompt_format.encode(r.question, r.answer) for r in records)
        check_lengths(_within_vocabulary(examples, ids, blank.config), ids, longest, positions)
    check_asked(prompt_format, asked, positions, max_new_tokens)
    return blank


def check_asked(
    prompt_format: PromptFormat, asked: RecordSets, positions: float, max_new_tokens: int
) -> None:
    """Refuse questions, and answers that are scored, for which a model has too few positions.

    Args:
        prompt_format: Of the model.
        asked: Records by set.
        positions: Tokens that the model can read at once.
        max_new_tokens: Longest answer.

    Raises:
        UserError: names the first such record.
    """
    prompt_format.end_token  # noqa: B018  # raises where there is none
    if math.isinf(positions):
        return
    for records in asked.values():
        ids = [record.id for record in records]
        prompts = (Example(prompt_format.encode_prompt(r.question), []) for r in records)
        check_lengths(prompts, ids, math.inf, positions, new=max_new_tokens)
        for record in records:
            answers = {record.answer, record.paraphrased_answer or "", *record.wrong_answers}
            read = [prompt_format.encode(record.question, answer) for answer in answers]
            check_lengths(read, [record.id] * len(read), math.inf, positions)


def check_arguments(prompt_format: PromptFormat, config: ModelConfig) -> None:
    """Refuse arguments that the chat template never reads, such as misspelt ones.

    Raises:
        UserError: names the first.
    """
    template = ""
    if prompt_format.uses_chat_template:
        template = prompt_format.tokenizer.get_chat_template()
    for name in config.prompt.arguments:
        if not re.search(rf"\b{re.escape(name)}\b", template):
            where = "the chat template has no such argument" if template else "there is no template"
            raise UserError(
                f"model.prompt.arguments.{name}: {where}.", "Leave it out, or check its spelling."
            )


def _within_vocabulary(
    examples: Iterable[Example], ids: Sequence[str], config: object
) -> Iterator[Example]:
    """Yield the examples, and refuse one with a token that the model does not know."""
    size = getattr(config, "vocab_size", math.inf)
    for example, id_ in zip(examples, ids, strict=True):
        if max(example.prompt + example.answer, default=0) >= size:
            raise UserError(
                f"record {id_}: the tokenizer knows words that the model does not (it has {size}).",
                "Check that the folder holds the model's own tokenizer.",
            )
        yield example
