"""Passes over a model: each made once, in batches of like length, resumable batch by batch.

A metric names the fields of a row that it needs; a pass fills some. Metrics never see a model.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any, ClassVar, Literal

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from typing_extensions import override

from relearn.base.registry import Registry
from relearn.config import EvaluationConfig, PromptConfig
from relearn.data.tokenization import Example, PromptFormat
from relearn.evaluation.batches import in_batches
from relearn.evaluation.rows import EvaluatedRow
from relearn.inference import likelihood
from relearn.inference.generation import continuations
from relearn.inference.length_batches import length_order


@dataclass
class EvaluatedModel:
    """A model that is loaded when the first batch needs it.

    Attributes:
        prompt_format: Its tokenizer and how it is asked.
        load: Loads it.
        positions: Tokens that it can read at once.
    """

    prompt_format: PromptFormat
    load: Callable[[], PreTrainedModel]
    positions: float = math.inf

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model itself."""
        return self.load()

    def release(self) -> None:
        """Let go of the model's memory."""
        self.__dict__.pop("model", None)

    @property
    def pad_token_id(self) -> int:
        """What batches are padded with."""
        return int(self.prompt_format.tokenizer.pad_token_id)


class Pass(ABC):
    """One reading of texts by a model.

    Attributes:
        fills: Fields of a row that it fills.
        needs: Fields of a row that must be filled before.
        of: Whether it is the evaluated model that reads, or the base model.
    """

    fills: ClassVar[tuple[str, ...]]
    needs: ClassVar[tuple[str, ...]] = ()
    of: ClassVar[Literal["evaluated", "base"]] = "evaluated"

    def examples(self, row: EvaluatedRow, prompt_format: PromptFormat) -> list[Example]:
        """Return what the model is to read for a row; nothing, if the row has nothing to read.

        If a pass does not say otherwise: the question and its reference.
        """
        return [prompt_format.encode(row.question, row.reference)]

    @abstractmethod
    def run(
        self, model: EvaluatedModel, examples: list[Example], config: EvaluationConfig
    ) -> list[Any]:
        """Read one batch and return a JSON value for each example."""

    @abstractmethod
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        """Fill the fields of a row from the values of its examples."""


PASSES: Registry[Pass] = Registry("pass")


def _registered(name: str) -> Callable[[type[Pass]], type[Pass]]:
    def register(kind: type[Pass]) -> type[Pass]:
        PASSES.register(name)(kind())
        return kind

    return register


@_registered("generation")
class Generation(Pass):
    """What the model answers."""

    fills: ClassVar[tuple[str, ...]] = ("generation",)

    @override
    def examples(self, row: EvaluatedRow, prompt_format: PromptFormat) -> list[Example]:
        return [Example(prompt_format.encode_prompt(row.question), [])]

    @override
    def run(
        self, model: EvaluatedModel, examples: list[Example], config: EvaluationConfig
    ) -> list[str]:
        new = continuations(
            model.model,
            [example.prompt for example in examples],
            max_new_tokens=config.max_new_tokens,
            pad_token_id=model.pad_token_id,
            end_tokens=model.prompt_format.end_tokens,
        )
        decode = model.prompt_format.tokenizer.decode
        return [str(decode(ids, skip_special_tokens=True)).strip() for ids in new]

    @override
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        (row.generation,) = values


@_registered("continuation")
class Continuation(Generation):
    """How the model goes on when the first half of the reference is put into its mouth."""

    fills: ClassVar[tuple[str, ...]] = ("continuation", "continuation_reference")

    @override
    def examples(self, row: EvaluatedRow, prompt_format: PromptFormat) -> list[Example]:
        whole = prompt_format.encode(row.question, row.reference, end=False)
        half = len(whole.answer) // 2
        return [Example(whole.prompt + whole.answer[:half], whole.answer[half:])]

    @override
    def run(
        self, model: EvaluatedModel, examples: list[Example], config: EvaluationConfig
    ) -> list[Any]:
        decode = model.prompt_format.tokenizer.decode
        rests = [decode(example.answer[: config.max_new_tokens]) for example in examples]
        return list(zip(super().run(model, examples, config), rests, strict=True))

    @override
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        row.continuation, row.continuation_reference = values[0]


@_registered("likelihood")
class Likelihood(Pass):
    """What the model thinks of the reference's tokens and the end token."""

    fills: ClassVar[tuple[str, ...]] = ("answer_log_probs", "answer_greedy", "answer_z_scores")

    @override
    def run(
        self, model: EvaluatedModel, examples: list[Example], config: EvaluationConfig
    ) -> list[Any]:
        found = likelihood.answer_statistics(model.model, examples, model.pad_token_id)
        return [[s.log_probs.tolist(), s.greedy.tolist(), s.z_scores.tolist()] for s in found]

    @override
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        row.answer_log_probs, row.answer_greedy, row.answer_z_scores = values[0]


class _Losses(Pass):
    """Mean token losses of whole answers."""

    @override
    def run(
        self, model: EvaluatedModel, examples: list[Example], config: EvaluationConfig
    ) -> list[float]:
        found = likelihood.batch_log_probs(model.model, examples, model.pad_token_id)
        return [-log_probs.mean().item() for log_probs in found]


@_registered("alternatives")
class Alternatives(_Losses):
    """How likely the paraphrased and the wrong answers are."""

    fills: ClassVar[tuple[str, ...]] = ("paraphrased_loss", "wrong_losses")

    @override
    def examples(self, row: EvaluatedRow, prompt_format: PromptFormat) -> list[Example]:
        if not row.wrong_answers:
            return []
        answers = [row.paraphrased_answer or row.reference, *row.wrong_answers]
        return [prompt_format.encode(row.question, answer) for answer in answers]

    @override
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        row.paraphrased_loss, *row.wrong_losses = values


@_registered("choices")
class Choices(Pass):
    """How likely each choice of a multiple-choice question is, by its letter."""

    fills: ClassVar[tuple[str, ...]] = ("choice_log_probs",)

    @override
    def examples(self, row: EvaluatedRow, prompt_format: PromptFormat) -> list[Example]:
        letters = ascii_uppercase[: len(row.choices or ())]
        lines = [
            f"{letter}. {text}" for letter, text in zip(letters, row.choices or (), strict=True)
        ]
        question = "\n".join([row.question, *lines, "Answer:"])
        return [prompt_format.encode(question, letter, end=False) for letter in letters]

    @override
    def run(
        self, model: EvaluatedModel, examples: list[Example], config: EvaluationConfig
    ) -> list[float]:
        found = likelihood.batch_log_probs(model.model, examples, model.pad_token_id)
        return [log_probs.sum().item() for log_probs in found]

    @override
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        row.choice_log_probs = values


@_registered("gradient")
class Gradient(Pass):
    """How steep the loss of the reference is."""

    fills: ClassVar[tuple[str, ...]] = ("gradient_norm",)

    @override
    def run(
        self, model: EvaluatedModel, examples: list[Example], config: EvaluationConfig
    ) -> list[float]:
        # A norm for each row takes a backward pass for each.
        return [likelihood.gradient_norm(model.model, e, model.pad_token_id) for e in examples]

    @override
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        (row.gradient_norm,) = values


@_registered("base_likelihood")
class BaseLikelihood(_Losses):
    """How likely the reference is under the base model."""

    fills: ClassVar[tuple[str, ...]] = ("base_loss",)
    of = "base"

    @override
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        (row.base_loss,) = values


@_registered("perplexity")
class Perplexity(Pass):
    """How surprising the answer is to the base model, its end token left out."""

    fills: ClassVar[tuple[str, ...]] = ("perplexity",)
    needs = ("generation",)
    of = "base"

    @override
    def examples(self, row: EvaluatedRow, prompt_format: PromptFormat) -> list[Example]:
        return [prompt_format.encode(row.question, row.generation, end=False)]

    @override
    def run(
        self, model: EvaluatedModel, examples: list[Example], config: EvaluationConfig
    ) -> list[float]:
        found = likelihood.batch_log_probs(model.model, examples, model.pad_token_id)
        return [likelihood.perplexity_of(log_probs, model.model) for log_probs in found]

    @override
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        (row.perplexity,) = values


# The reference code of arXiv 2502.11190 reads question and answer one after the other.
_AS_PLAIN_TEXT = PromptConfig(template="{question} {answer}")


@lru_cache(maxsize=1)
def _plain(tokenizer: PreTrainedTokenizerBase) -> PromptFormat:
    return PromptFormat(tokenizer, config=_AS_PLAIN_TEXT)


@_registered("plain_perplexity")
class PlainPerplexity(Perplexity):
    """The same of question and answer as plain text, without chat template and system message."""

    fills: ClassVar[tuple[str, ...]] = ("plain_perplexity",)

    @override
    def examples(self, row: EvaluatedRow, prompt_format: PromptFormat) -> list[Example]:
        plain = _plain(prompt_format.tokenizer)
        return [plain.encode(row.question, row.generation.strip(), end=False)]

    @override
    def fill(self, row: EvaluatedRow, values: list[Any]) -> None:
        (row.plain_perplexity,) = values


def passes_for(fields: Iterable[str]) -> list[str]:
    """Return the names of the passes that fill `fields`, each once, in an order that works."""
    wanted = set(fields)
    for one in reversed(PASSES.values()):
        if wanted & set(one.fills):
            wanted |= set(one.needs)
    return [name for name, one in PASSES.items() if wanted & set(one.fills)]


def make_pass(
    name: str,
    rows: Sequence[EvaluatedRow],
    model: EvaluatedModel,
    config: EvaluationConfig,
    parts: Path,
    title: str | None = None,
) -> None:
    """Make one pass over `rows` and fill their fields.

    Args:
        name: Of the pass.
        rows: Filled in place.
        model: Whose reading it is; not loaded if every batch is done already.
        config: Batch size and longest answer.
        parts: File of finished batches, one a line; what is in it is not done again.
        title: Of the progress bar; None shows none.
    """
    one = PASSES.named(name)
    jobs = [
        (i, example)
        for i, row in enumerate(rows)
        for example in one.examples(row, model.prompt_format)
    ]
    order = length_order(jobs, lambda job: len(job[1]))

    def read(batch: Sequence[Sequence[list[int]]]) -> list[Any]:
        return one.run(model, [Example(prompt, answer) for prompt, answer in batch], config)

    tokens = [(jobs[job][1].prompt, jobs[job][1].answer) for job in order]
    values = in_batches(tokens, read, config.batch_size, file=parts, title=title)
    of_row: dict[int, list[Any]] = {}
    for job, value in sorted(zip(order, values, strict=True), key=lambda pair: pair[0]):
        of_row.setdefault(jobs[job][0], []).append(value)
    for i, found in of_row.items():
        one.fill(rows[i], found)
