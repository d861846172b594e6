"""The attack that trains the model again, on some of the facts, on all, or on none."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from itertools import count
from math import ceil
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from relearn.audit.base import Attempt, Beside, answered, asking, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel
from relearn.audit.recovery import at_step, recovery
from relearn.audit.training import BATCH, example_batches, token_loss
from relearn.config import LoraConfig
from relearn.data.sources import load_records
from relearn.models.adapters import add_adapter

_WHOLE_RATE = 2e-5


@attack("relearning", curve="optimizer steps", figures=recovery,
        standard={"ways": ("half", "retain"), "rates": (5e-4,), "steps": (4, 16)},
        thorough={"ways": ("half", "retain", "unrelated", "whole"), "rates": (1e-4, 5e-4, 1e-3),
                  "steps": (2, 4, 8, 16, 32)})  # fmt: skip
def relearning(
    model: AttackedModel,
    facts: Sequence[Fact],
    *,
    ways: Sequence[str],
    rates: Sequence[float],
    steps: Sequence[int],
    beside: Beside | None = None,
) -> list[Attempt]:
    """Train the model again, and ask after so many steps.

    - `half`: an adapter on every second fact; those between are asked for. What comes back without
      having been taught again was only hidden: a model that never saw the facts can learn the form
      of the answers but not the other half's content.
    - `retain`: an adapter on what should have stayed; all facts are asked for.
    - `unrelated`: an adapter on common knowledge, about nobody; all facts are asked for.
    - `whole`: all weights for one epoch on all facts at 2e-5; all facts are asked for, which any
      model can learn. How many steps it takes, beside the control's, is what counts.

    Source: arXiv 2410.08827 (half of the facts); arXiv 2406.13356 (relearning, also on unrelated
    data); arXiv 2605.24614 (one epoch)
    """
    retained = beside.retain if beside else ()
    halves = facts[::2], facts[1::2]
    plans = {"half": halves, "retain": (retained, facts)}
    if "unrelated" in ways:
        plans["unrelated"] = [*map(Fact, load_records("demo:common_knowledge"))], facts
    attempts: list[Attempt] = []
    for way in ways:
        if way == "whole":
            attempts += _after(_whole(model, facts), facts, way)
            continue
        taught, wanted = plans[way]
        if taught and wanted:
            for rate in rates:
                name = f"{way}, rate {rate:g}"
                attempts += _after(_adapted(model, taught, rate, steps), wanted, name)
    return attempts


def _after(
    trained: Iterator[tuple[int, AttackedModel]], facts: Sequence[Fact], way: str
) -> list[Attempt]:
    return [
        attempt
        for step, model in trained
        for attempt in answered(model, asking(model, facts, at_step(way, step)))
    ]


def _adapted(
    model: AttackedModel, facts: Sequence[Fact], rate: float, steps: Sequence[int]
) -> Iterator[tuple[int, AttackedModel]]:
    """Yield the model with an adapter that was trained on the facts for so many steps."""
    with _adapter(model.model, model.seed) as policy:
        yield from _trained(replace(model, model=policy), facts, rate, steps)


def _whole(model: AttackedModel, facts: Sequence[Fact]) -> Iterator[tuple[int, AttackedModel]]:
    """Yield a copy of the model after a quarter, a half and all of an epoch on the facts."""
    epoch = ceil(len(facts) / BATCH)
    steps = sorted({ceil(epoch / 4), ceil(epoch / 2), epoch})
    # A step of this size is lost in the rounding of 16-bit weights.
    policy = deepcopy(model.model).float().requires_grad_(True)
    yield from _trained(replace(model, model=policy), facts, _WHOLE_RATE, steps)


def _trained(
    model: AttackedModel, facts: Sequence[Fact], rate: float, steps: Sequence[int]
) -> Iterator[tuple[int, AttackedModel]]:
    weights = [p for p in model.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    examples = [model.prompt_format.encode(f.record.question, f.record.answer) for f in facts]
    for step, batch in zip(count(1), example_batches(examples, model), strict=False):
        token_loss(model.model, batch).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step in steps:
            yield step, model
        if step >= max(steps):
            return


@contextmanager
def _adapter(model: PreTrainedModel, seed: int) -> Iterator[PreTrainedModel]:
    """Put a fresh adapter on the model, and take it off again: no copy is made."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # the same adapter in each of several processes
        policy: Any = add_adapter(model, LoraConfig(rank=16, alpha=32, dropout=0.0))
    try:
        yield cast(PreTrainedModel, policy)
    finally:
        policy.unload()
        model.requires_grad_(False)
