"""The attack that teaches the model some of the facts and asks for the others."""

import random
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import cast

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from relearn.audit.base import Attempt, asked, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel
from relearn.config import LoraConfig
from relearn.data.batching import IGNORE, TrainingRow, collate, to_device
from relearn.models.adapters import add_adapter
from relearn.models.label_logits import label_logits

_BATCH = 4


@attack("relearning", curve="optimizer steps", standard={"rates": (5e-4,), "steps": (4, 16)},
        thorough={"rates": (1e-4, 5e-4, 1e-3), "steps": (2, 4, 8, 16, 32)})  # fmt: skip
def relearning(
    model: AttackedModel, facts: Sequence[Fact], *, rates: Sequence[float], steps: Sequence[int]
) -> list[Attempt]:
    """Train an adapter on every second fact, and ask for those between after so many steps.

    What comes back without having been taught again was only hidden. A model that never saw the
    facts can learn the form of the answers but not the other half's content.

    Source: arXiv 2410.08827 (half of the facts); arXiv 2406.13356 (relearning)
    """
    taught, kept = facts[::2], facts[1::2]
    if not kept:
        return []
    attempts: list[Attempt] = []
    for rate in rates:
        for step, trained in _taught(model, taught, rate, steps):
            attempts += asked(trained, kept, f"rate {rate:g}, step {step}")
    return attempts


def _taught(
    model: AttackedModel, facts: Sequence[Fact], rate: float, steps: Sequence[int]
) -> Iterator[tuple[int, AttackedModel]]:
    """Yield a copy of the model that has been trained on the facts for so many steps."""
    policy = add_adapter(deepcopy(model.model), LoraConfig(rank=16, alpha=32, dropout=0.0))
    weights = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    rng = random.Random(model.seed)
    rows: list[TrainingRow] = []
    for step in range(1, max(steps) + 1):
        if len(rows) < _BATCH:
            fresh = [
                TrainingRow(i, model.prompt_format.encode(f.record.question, f.record.answer), True)
                for i, f in enumerate(facts)
            ]
            rows += rng.sample(fresh, len(fresh))
        batch = to_device(collate(rows[:_BATCH], model.pad_token_id), policy.device)
        del rows[:_BATCH]
        keep = batch["labels"] != IGNORE
        logits = label_logits(policy, batch["input_ids"], batch["attention_mask"], keep)
        cross_entropy(logits.float(), batch["labels"][keep]).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step in steps:
            yield step, replace(model, model=cast(PreTrainedModel, policy))
