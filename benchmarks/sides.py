"""The three sides of `training.py`: two recipes of other code bases, and relearn's.

Each returns its seconds, and CE(forget) + CE(retain) of every optimizer step.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax
from transformers import PreTrainedModel

from relearn.base.storage import read_jsonl
from relearn.config import LoraConfig, ModelConfig, TrainingConfig
from relearn.data.batching import IGNORE, MixedBatchSampler, TrainingRow, to_device
from relearn.data.tokenization import Example
from relearn.models.adapters import add_adapter
from relearn.models.loading import best_device, load_model
from relearn.models.precision import is_native
from relearn.training.engine import train

FIXED_LENGTH = 512
# What all sides make their products in.
PRODUCTS = torch.bfloat16 if is_native(torch.bfloat16, best_device()) else torch.float32


@dataclass(frozen=True)
class Seconds:
    """By the clock on the wall, and of all cores together."""

    wall: float
    cpu: float


def now() -> Seconds:
    return Seconds(time.perf_counter(), time.process_time())


def since(start: Seconds) -> Seconds:
    end = now()
    return Seconds(end.wall - start.wall, end.cpu - start.cpu)


def batches(
    forget: list[Example], retain: list[Example], batch_size: int, epochs: int
) -> Iterator[tuple[list[Example], list[Example]]]:
    """Yield the rows of every optimizer step, the same that relearn's sampler takes."""
    rows = [TrainingRow(i, e, True) for i, e in enumerate(forget)]
    rows += [TrainingRow(len(rows) + i, e, False) for i, e in enumerate(retain)]
    sampler = MixedBatchSampler(rows, batch_size, batch_size, seed=0, grouped=False)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for batch in sampler:
            chosen = [rows[i] for i in batch]
            yield (
                [row.example for row in chosen if row.is_forget],
                [row.example for row in chosen if not row.is_forget],
            )


def pad(examples: list[Example], pad_token_id: int, length: int | None) -> dict[str, Tensor]:
    """Pad on the left, to the longest row or to `length`."""
    length = length or max(map(len, examples))
    ids = torch.full((len(examples), length), pad_token_id)
    labels, mask = torch.full_like(ids, IGNORE), torch.zeros_like(ids)
    for i, example in enumerate(examples):
        ids[i, length - len(example) :] = torch.tensor(example.prompt + example.answer)
        mask[i, length - len(example) :] = 1
        labels[i, length - len(example.answer) :] = torch.tensor(example.answer)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def kl_everywhere(policy: Tensor, reference: Tensor) -> Tensor:
    """Return the mean KL(reference || policy) over all positions, padding included."""
    return kl_div(
        log_softmax(policy, -1).flatten(0, 1),
        log_softmax(reference, -1).flatten(0, 1),
        reduction="batchmean",
        log_target=True,
    )


def plain_loop(
    policy: PeftModel,
    data: Iterator[tuple[list[Example], list[Example]]],
    loss: Callable[[list[Example], list[Example]], tuple[Tensor, float]],
) -> list[float]:
    """Train with AdamW as transformers' Trainer would, without its overhead; save the adapter."""
    trained = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01)
    policy.train()
    losses = []
    for forget, retain in data:
        kind = policy.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=torch.bfloat16 == PRODUCTS):
            value, cross_entropy = loss(forget, retain)
        value.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(cross_entropy)
    with tempfile.TemporaryDirectory() as scratch:
        policy.save_pretrained(scratch)
    return losses


def adapter() -> LoraConfig:
    return LoraConfig(rank=32, alpha=32, dropout=0.0)


def loaded(folder: Path, dtype: str = str(PRODUCTS).removeprefix("torch.")) -> PreTrainedModel:
    """Return the model, its weights read from disk."""
    model = load_model(folder, ModelConfig(dtype=dtype))
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model


def fixed_padding(folder, tokenizer, forget, retain, batch_size, epochs):  # type: ignore[no-untyped-def]
    model = loaded(folder)
    start = now()
    policy, reference = add_adapter(model, adapter()), loaded(folder)

    def loss(forget: list[Example], retain: list[Example]) -> tuple[Tensor, float]:
        forget_batch, retain_batch = (
            to_device(pad(rows, tokenizer.pad_token_id, FIXED_LENGTH), model.device)
            for rows in (forget, retain)
        )
        forgotten = policy(**forget_batch)
        kept = policy(**retain_batch)
        with torch.no_grad():
            before = reference(**retain_batch)
        cross_entropy = forgotten.loss + kept.loss
        return cross_entropy + kl_everywhere(kept.logits, before.logits), cross_entropy.item()

    losses = plain_loop(policy, batches(forget, retain, batch_size, epochs), loss)
    return since(start), losses


def dynamic_padding(folder, tokenizer, forget, retain, batch_size, epochs):  # type: ignore[no-untyped-def]
    model = loaded(folder)
    start = now()
    policy = add_adapter(model, adapter())
    reference = copy.deepcopy(policy).eval()

    def loss(forget: list[Example], retain: list[Example]) -> tuple[Tensor, float]:
        forget_batch, retain_batch = (
            to_device(pad(rows, tokenizer.pad_token_id, None), model.device)
            for rows in (forget, retain)
        )
        forgotten = policy(**forget_batch)
        _unused = policy(**retain_batch)
        with torch.no_grad():
            before = reference(**retain_batch)
        kept = policy(**retain_batch)
        cross_entropy = forgotten.loss + kept.loss
        return cross_entropy + kl_everywhere(kept.logits, before.logits), cross_entropy.item()

    losses = plain_loop(policy, batches(forget, retain, batch_size, epochs), loss)
    return since(start), losses


def relearn(folder, tokenizer, forget, retain, batch_size, epochs):  # type: ignore[no-untyped-def]
    config = TrainingConfig(
        objective="relearn",
        epochs=epochs,
        learning_rate=1e-4,
        scheduler="constant",
        warmup_ratio=0,
        batch_size=batch_size,
        gradient_accumulation=1,
        checkpoint_steps=10**6,
        lora=adapter(),
    )
    model = loaded(folder, "auto")
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "out"
        start = now()
        train(model, tokenizer, forget, retain, config, output, seed=0, title="")
        seconds = since(start)
        history = read_jsonl(output / "history.jsonl")
    return seconds, [row["forget_ce"] + row["retain_ce"] for row in history]
