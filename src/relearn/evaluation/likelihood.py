"""Log-probabilities of given answers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from relearn.data.batching import IGNORE, TrainingRow, collate
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.label_logits import label_logits
from relearn.progress import progress_bar


@torch.inference_mode()
def answer_log_probs(
    model: PreTrainedModel,
    examples: Sequence[Example],
    *,
    batch_size: int,
    pad_token_id: int,
    title: str = "likelihoods",
) -> list[Tensor]:
    """Return the log-probability of every answer token of every example.

    Returns:
        One (answer tokens,) float32 tensor per example, in nats, <= 0, in the order given.
    """
    order = sorted(range(len(examples)), key=lambda i: len(examples[i]))
    results = [torch.empty(0)] * len(examples)
    with progress_bar(title) as advance:
        for start in range(0, len(order), batch_size):
            rows = [
                TrainingRow(i, examples[i], is_forget=True)
                for i in order[start : start + batch_size]
            ]
            batch = collate(rows, pad_token_id)
            keep = batch["labels"] != IGNORE
            logits = label_logits(
                model,
                batch["input_ids"].to(model.device),
                batch["attention_mask"].to(model.device),
                keep.to(model.device),
            )
            targets = batch["labels"][keep].to(logits.device)
            log_probs = logits.float().log_softmax(-1).gather(1, targets[:, None])[:, 0].cpu()
            pieces = log_probs.split(keep.sum(1).tolist())
            for row, piece in zip(rows, pieces, strict=True):
                results[row.index] = piece
            advance(start + len(rows), len(order), "")
    return results


def perplexities(
    model: PreTrainedModel,
    prompt_format: PromptFormat,
    questions: Sequence[str],
    answers: Sequence[str],
    *,
    batch_size: int,
    title: str = "perplexity",
) -> list[float]:
    """Return exp of the mean token loss of each answer given its question, end token left out.

    Source: arXiv 2502.11190; `model` is the base model there. An empty answer has no
    tokens; it counts as text of which the model knows nothing: the size of the vocabulary.

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
    vocabulary = float(model.config.get_text_config().vocab_size)
    return [math.exp(-p.mean().item()) if len(p) else vocabulary for p in log_probs]
