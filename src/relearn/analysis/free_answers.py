"""Language: what free answers look like, token by token: loops, repetition, certainty.

An answer has *collapsed* if it is empty, ends in a loop, or repeats more than half of its 4-grams.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel

from relearn.analysis.distribution import entropy
from relearn.analysis.observe import Tables, joined, joined_tables
from relearn.analysis.probes import Probe
from relearn.base.distributed import shared_out
from relearn.base.progress import progress_bar
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import position_limit

NGRAM = 4
COLLAPSED_REPETITION = 0.5
LOOP_REPEATS = 3
_LONGEST_PERIOD = 24
_SHORTEST_LOOP = 6


class _Entropies(LogitsProcessor):
    """Notes the entropy of every step's distribution, and changes nothing."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.steps.append(entropy(scores.float().log_softmax(-1)).cpu())
        return scores


@torch.inference_mode()
def free_answers(
    model: PreTrainedModel,
    prompt_format: PromptFormat,
    probes: Sequence[Probe],
    *,
    rows: int,
    max_new_tokens: int,
    title: str | None,
) -> Tables:
    """Let the model answer greedily, as far as its positions reach; processes share the batches.

    Returns:
        `answers`, a row a probe: set, id, `answer` (untrusted text), `tokens`, `repetition` 0 to
        1, `loops`, `collapsed`; and `steps`, a row a generated token: set, id, step from 0,
        `entropy` in nats of the distribution that it was chosen from.
    """
    starts = range(0, len(probes), rows)
    with progress_bar(title) as advance:

        def answered(start: int) -> Tables:
            tables = _answered(model, prompt_format, probes[start : start + rows], max_new_tokens)
            advance(min(start + rows, len(probes)), len(probes), "")
            return tables

        return joined_tables(shared_out(answered, starts))


def _answered(
    model: PreTrainedModel,
    prompt_format: PromptFormat,
    probes: Sequence[Probe],
    max_new_tokens: int,
) -> Tables:
    """Return the tables of one batch."""
    tokenizer = prompt_format.tokenizer
    padded = tokenizer.pad(
        {"input_ids": [prompt_format.encode_prompt(p.question) for p in probes]},
        padding_side="left",
        return_tensors="pt",
    ).to(model.device)
    noted = _Entropies()
    room = position_limit(model.config) - padded.input_ids.shape[1]
    output = model.generate(  # type: ignore[operator]  # untyped in transformers
        **padded,
        max_new_tokens=int(min(max_new_tokens, max(room, 1))),
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=prompt_format.end_tokens or None,
        logits_processor=LogitsProcessorList([noted]),
    )
    new = output[:, padded.input_ids.shape[1] :].tolist()
    uncertainty = torch.stack(noted.steps, dim=1)
    answers, steps = [], []
    for probe, ids, values in zip(probes, new, uncertainty, strict=True):
        ended = _ended(ids, prompt_format.end_tokens)
        answers.append(_row(probe, ids[:ended], tokenizer))
        # The end token is chosen too, so its distribution counts.
        counted = values[: ended + 1].tolist()
        steps.append(
            pd.DataFrame(
                {
                    "set": probe.set,
                    "id": probe.id,
                    "step": range(len(counted)),
                    "entropy": counted,
                }
            )
        )
    return {"answers": pd.DataFrame(answers), "steps": joined(steps)}


def _row(probe: Probe, ids: list[int], tokenizer: Any) -> dict[str, Any]:
    return {
        "set": probe.set,
        "id": probe.id,
        "answer": tokenizer.decode(ids, skip_special_tokens=True).strip(),
        "tokens": len(ids),
        "repetition": repetition(ids),
        "loops": loops(ids),
        "collapsed": collapsed(ids),
    }


def _ended(ids: Sequence[int], ends: Sequence[int]) -> int:
    """Return how many tokens come before the first end token."""
    return next((i for i, token in enumerate(ids) if token in ends), len(ids))


def repetition(ids: Sequence[int]) -> float:
    """Return the share of 4-grams that came before: 1 - different ones / all, 0 to 1.

    Source: Welleck et al. 2020, Neural Text Generation with Unlikelihood Training (seq-rep-4).
    """
    grams = [tuple(ids[i : i + NGRAM]) for i in range(len(ids) - NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def loops(ids: Sequence[int]) -> bool:
    """Whether the end is one run of at most 24 tokens, three times or more in a row.

    A short run counts from six tokens in all, so that "2000" or "..." is no loop.
    """
    for period in range(1, min(_LONGEST_PERIOD, len(ids) // LOOP_REPEATS) + 1):
        length = max(LOOP_REPEATS * period, _SHORTEST_LOOP)
        tail = ids[-length:]
        if len(tail) == length and all(tail[i] == tail[i + period] for i in range(length - period)):
            return True
    return False


def collapsed(ids: Sequence[int]) -> bool:
    """Whether an answer is no language any more: empty, looping, or mostly repetition."""
    return not ids or loops(ids) or repetition(ids) > COLLAPSED_REPETITION
