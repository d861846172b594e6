"""What tests of trainings share: rows, options that fit a tiny model, a training that is killed."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from relearn.config import LoraConfig, ModelConfig
from relearn.data.batching import TrainingRow, collate
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.adapters import add_adapter

CONFIG = ModelConfig(dtype="float32")

# The defaults are for models of some billion parameters.
TINY_OPTIONS: dict[str, dict[str, float]] = {
    "rmu": {"steering": 1.0, "alpha": 1.0},
    "pdu": {"dual": 0.1, "retain_bound": 99.0},
}


class Killed(BaseException):
    """Ends a training like a signal would."""


def examples(prompt_format: PromptFormat, count: int, word: str) -> list[Example]:
    return [
        prompt_format.encode(f"What is {word} {i}?", " ".join([word] * (1 + 3 * i % 7)))
        for i in range(count)
    ]


def padded(some: Sequence[TrainingRow]) -> dict[str, torch.Tensor]:
    return collate(some, pad_token_id=2)


def randomize_adapter(model: torch.nn.Module, seed: int = 1) -> None:
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)


def save_adapter(model: PreTrainedModel, folder: Path, seed: int) -> Path:
    """Write a random LoRA adapter of a model to `folder`, and return it."""
    policy = add_adapter(model, LoraConfig(rank=4))
    randomize_adapter(policy, seed)
    policy.save_pretrained(str(folder))
    return folder
