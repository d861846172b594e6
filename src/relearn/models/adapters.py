"""Low-rank adapters: the policy is the model with its adapter on, the reference with it off."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, TaskType, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel

from relearn.config import LoraConfig
from relearn.errors import UserError


def add_adapter(model: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """Return `model` with a fresh, trainable adapter that does not change it yet.

    Raises:
        UserError: peft does not know one of the options, or not for this model.
    """
    fields = {
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": config.target_modules,
    }
    try:
        peft_config = PeftLoraConfig(task_type=TaskType.CAUSAL_LM, **fields | config.options)
        return cast(PeftModel, get_peft_model(model, peft_config))
    except (TypeError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"training.lora can't be had: {reason}", "See peft's documentation of LoraConfig."
        ) from error


@torch.no_grad()
def scale_adapter(weights: Mapping[str, Tensor], factor: float) -> None:
    """Multiply what an adapter adds to the model's weights by `factor`, in place.

    `weights` are the adapter's by name, of the model or gathered from its shards.

    A factor of -1 negates the task vector: the model becomes worse at what the adapter learned.
    Source: Ilharco et al. 2023, Editing Models with Task Arithmetic (arXiv 2212.04089).
    """
    for name, weight in weights.items():
        if ".lora_B." in name:
            weight.mul_(factor)


@torch.no_grad()
def scale_change(
    weights: Mapping[str, Tensor], model: PreTrainedModel, dtype: torch.dtype, factor: float
) -> None:
    """Multiply how all weights were changed by `factor`, in place; the same as `scale_adapter`.

    What they were before is read again from the model's folder, in the type that it had.

    Args:
        weights: The trained ones by name: those of `model`, or gathered from its shards.
        model: Says where it was loaded from.
        dtype: Of the weights before.
        factor: What the change is multiplied by.
    """
    before = type(model).from_pretrained(model.name_or_path, dtype=dtype)
    for name, start in before.named_parameters():
        weight = weights[name]
        weight.copy_(torch.lerp(start.to(weight), weight, factor))


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter, and not a whole model."""
    return (folder / "adapter_config.json").is_file()


def merge_adapter(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """Return `model` with the adapter in `adapter` added to its weights, in place.

    A folder with a fully fine-tuned model takes the place of `model`.
    """
    if not is_adapter(adapter):
        trained = type(model).from_pretrained(
            adapter, dtype=model.dtype, attn_implementation=model.config._attn_implementation
        )
        return cast(PreTrainedModel, trained.to(model.device)).eval()  # type: ignore[arg-type]
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload(safe_merge=True)
    # As any loaded model's. On a CPU, bfloat16 weights without a gradient are packed anew for each
    # shape of a batch and kept: some gigabytes in a generation, and no faster.
    return cast(PreTrainedModel, merged).requires_grad_(True)
