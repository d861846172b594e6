"""Likelihoods of given answers: what a model thinks of each of their tokens."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from relearn.data.batching import IGNORE, TrainingRow, collate, to_device
from relearn.data.tokenization import Example, PromptFormat
from relearn.inference.length_batches import in_length_batches
from relearn.models.label_logits import label_logits

# Positions whose whole distribution is looked at together: some 100 MB at 50,000 words.
_CHUNK = 512


@dataclass(frozen=True)
class AnswerStatistics:
    """What a model thinks of an answer's tokens, each given the prompt and the tokens before it.

    Attributes:
        log_probs: (tokens,) log-probability of each, in nats, <= 0.
        greedy: (tokens,) whether it is the most probable token there.
        z_scores: (tokens,) its log-probability, less the mean and over the standard deviation of
            the log-probability of a token drawn from the model there.
    """

    log_probs: Tensor
    greedy: Tensor
    z_scores: Tensor


@torch.inference_mode()
def answer_statistics(
    model: PreTrainedModel, examples: Sequence[Example], pad_token_id: int
) -> list[AnswerStatistics]:
    """Run one batch of examples and return the statistics of each one's answer, in float32."""
    columns = _of_answers(model, examples, pad_token_id, _chunk_statistics)
    return [AnswerStatistics(*row) for row in zip(*columns, strict=True)]


def _chunk_statistics(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    log_probs = logits.log_softmax(-1)
    chosen = log_probs.gather(1, targets[:, None])[:, 0]
    greedy = log_probs.argmax(-1) == targets
    probs = log_probs.exp()
    mean = (probs * log_probs).sum(-1)
    # Never below a floor, so that a model that is certain of a token has a finite score.
    variance = ((probs * log_probs.square()).sum(-1) - mean.square()).clamp(min=1e-6)
    return chosen, greedy, (chosen - mean) / variance.sqrt()


def _collated(examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
    return collate(
        [TrainingRow(i, e, is_forget=True) for i, e in enumerate(examples)], pad_token_id
    )


def _logits(model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return where the labels are, (rows, length), and the (labels, vocabulary) logits there."""
    keep = batch["labels"] != IGNORE
    return keep, label_logits(model, batch["input_ids"], batch["attention_mask"], keep)


@torch.inference_mode()
def batch_log_probs(
    model: PreTrainedModel, examples: Sequence[Example], pad_token_id: int
) -> list[Tensor]:
    """Run one batch and return each answer's (tokens,) float32 log-probabilities, in nats."""
    (log_probs,) = _of_answers(model, examples, pad_token_id, _chunk_log_probs)
    return list(log_probs)


def _chunk_log_probs(logits: Tensor, targets: Tensor) -> tuple[Tensor]:
    return (logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1),)


def _of_answers(
    model: PreTrainedModel,
    examples: Sequence[Example],
    pad_token_id: int,
    measure: Callable[[Tensor, Tensor], tuple[Tensor, ...]],
) -> Iterator[tuple[Tensor, ...]]:
    """Run one batch; yield each value that `measure` makes, split into the examples' answers.

    `measure` takes (tokens, vocabulary) float32 logits and (tokens,) targets, some at a time.
    """
    batch = to_device(_collated(examples, pad_token_id), model.device)
    keep, logits = _logits(model, batch)
    targets = batch["labels"][keep]
    parts = [
        measure(some.float(), wanted)
        for some, wanted in zip(logits.split(_CHUNK), targets.split(_CHUNK), strict=True)
    ]
    lengths = keep.sum(1).tolist()
    columns = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    # Copies: a part of a tensor is sent to another process with the whole of it.
    return (tuple(part.clone() for part in column.split(lengths)) for column in columns)


def answer_log_probs(
    model: PreTrainedModel,
    examples: Sequence[Example],
    *,
    batch_size: int,
    pad_token_id: int,
    title: str | None = "likelihoods",
    shared: bool = False,
) -> list[Tensor]:
    """Return the log-probability of every answer token of every example, batched by length.

    For `shared` see `in_length_batches`.

    Returns:
        One (answer tokens,) float32 tensor per example, in nats, <= 0, in the order given.
    """
    return in_length_batches(
        examples,
        lambda batch: batch_log_probs(model, batch, pad_token_id),
        length=len,
        size=batch_size,
        title=title,
        shared=shared,
    )


def perplexity_of(log_probs: Tensor, model: PreTrainedModel) -> float:
    """Return exp of the mean token loss, from 1 up.

    An empty answer has no tokens; it counts as text of which the model knows nothing: the size of
    the vocabulary.
    """
    if len(log_probs):
        return math.exp(-log_probs.mean().item())
    return float(model.config.get_text_config().vocab_size)


def perplexities(
    model: PreTrainedModel,
    prompt_format: PromptFormat,
    questions: Sequence[str],
    answers: Sequence[str],
    *,
    batch_size: int,
    title: str | None = "perplexity",
) -> list[float]:
    """Return the perplexity of each answer given its question, end token left out.

    Source: arXiv 2502.11190; `model` is the base model there.

    Returns:
        Values from 1 up, one per answer.
    """
    examples = [
        prompt_format.encode(question, answer, end=False)
        for question, answer in zip(questions, answers, strict=True)
    ]
    log_probs = answer_log_probs(
        model,
        examples,
        batch_size=batch_size,
        pad_token_id=prompt_format.tokenizer.pad_token_id,
        title=title,
    )
    return [perplexity_of(each, model) for each in log_probs]


def gradient_norm(model: PreTrainedModel, example: Example, pad_token_id: int) -> float:
    """Return the Euclidean norm of the gradient of the mean token loss by all weights, 0 up."""
    batch = to_device(_collated([example], pad_token_id), model.device)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    with torch.enable_grad():
        keep, logits = _logits(model, batch)
        targets = batch["labels"][keep]
        loss = torch.nn.functional.cross_entropy(logits.float(), targets)
        gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    squares = [g.float().square().sum() for g in gradients if g is not None]
    return float(torch.stack(squares).sum().sqrt())
