"""Low-rank adapters: the policy is the model with its adapter on, the reference with it off."""

from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, TaskType, get_peft_model
from transformers import PreTrainedModel

from relearn.config import LoraConfig


def add_adapter(model: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """Return `model` with a fresh, trainable adapter that does not change it yet."""
    peft_config = PeftLoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # peft divides only
        lora_dropout=config.dropout,
        target_modules=config.target_modules,
    )
    return cast(PeftModel, get_peft_model(model, peft_config))


@torch.no_grad()
def scale_adapter(policy: PeftModel, factor: float) -> None:
    """Multiply what the adapter adds to the model's weights by `factor`, in place.

    A factor of -1 negates the task vector: the model becomes worse at what the adapter learned.
    Source: Ilharco et al. 2023, Editing Models with Task Arithmetic (arXiv 2212.04089).
    """
    for name, parameter in policy.named_parameters():
        if ".lora_B." in name:
            parameter.mul_(factor)


def merge_adapter(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """Return `model` with the adapter in `adapter` added to its weights, in place."""
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload(safe_merge=True)
    return cast(PreTrainedModel, merged)
