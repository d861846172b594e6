"""Low-rank adapters: the policy is the model with its adapter on, the reference with it off."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, TaskType, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from relearn.base.errors import UserError
from relearn.base.progress import note
from relearn.config import LoraConfig

# Models whose kernels read the weight of this layer without calling it; peft refuses it there.
_READ_PAST = "out_proj"
_WITH_READ_PAST = {"mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h"}


def add_adapter(model: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """Return `model` with a fresh, trainable adapter that does not change it yet.

    The weights of fused experts can have no dropout before their adapter: there it is left out
    everywhere, with a note.

    Raises:
        UserError: peft does not know one of the options, or not for this model.
    """
    options: dict[str, Any] = {
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": config.target_modules,
    }
    if config.target_modules == "all-linear" and model.config.model_type in _WITH_READ_PAST:
        options["exclude_modules"] = [_READ_PAST]
    options |= config.options
    if options["lora_dropout"] and _refuses_dropout(model, options):
        note("training.lora.dropout is 0: fused experts can't have any")
        options["lora_dropout"] = 0.0
    return _wrapped(model, options)


def adapted(model: nn.Module) -> Any:
    """Return the model that peft's wrapper is around, with its adapters in it; else `model`."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Return `model` with the adapter in `folder` on it, to be trained further."""
    return cast(PeftModel, PeftModel.from_pretrained(model, folder, is_trainable=True))


def check_adapter(blank: PreTrainedModel, config: LoraConfig) -> None:
    """Try an adapter on a model without weights.

    Raises:
        UserError: as `add_adapter`.
    """
    # Beginnings that are computed from the weights can't be tried without any.
    options = {k: v for k, v in config.options.items() if k != "init_lora_weights"}
    add_adapter(_blank_copy(blank), config.model_copy(update={"options": options}))


def _blank_copy(model: PreTrainedModel) -> PreTrainedModel:
    with torch.device("meta"):
        return type(model)(deepcopy(model.config))


def _refuses_dropout(model: PreTrainedModel, options: Mapping[str, Any]) -> bool:
    """Tell whether peft would adapt a parameter of several matrices, which takes no dropout."""
    stacked = any(
        parameter.dim() == 3
        for module in model.modules()
        if not isinstance(module, nn.Conv1d)
        for parameter in module.parameters(recurse=False)
    )
    if not stacked:
        return False
    try:
        _wrapped(_blank_copy(model), options)
    except UserError as error:
        return "lora_dropout" in error.problem
    return False


def _wrapped(model: PreTrainedModel, options: Mapping[str, Any]) -> PeftModel:
    try:
        peft_config = PeftLoraConfig(task_type=TaskType.CAUSAL_LM, **options)
        blank = model.device.type == "meta"
        return cast(PeftModel, get_peft_model(model, peft_config, low_cpu_mem_usage=blank))
    except (TypeError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"training.lora does not go with this model: {reason.rstrip('.')}.",
            "See peft's documentation of LoraConfig.",
        ) from error


def untie_adapted_head(policy: PeftModel) -> None:
    """Give the output head weights of its own where an adapter is on them or on the embeddings.

    A merge into weights that both share would change the other one too.
    """
    model = adapted(policy)
    pair = model.get_input_embeddings(), model.get_output_embeddings()
    if not any(isinstance(layer, BaseTunerLayer) for layer in pair):
        return
    embeddings, head = (
        cast(Any, layer).get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
        for layer in pair
    )
    if head.weight is embeddings.weight:
        head.weight = nn.Parameter(head.weight.detach().clone())
        model.config.get_text_config().tie_word_embeddings = False
        model.config.tie_word_embeddings = False


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


def merged_policy(policy: PeftModel) -> PreTrainedModel:
    """Return the model under the adapters that are on, these added to its weights, in place."""
    untie_adapted_head(policy)
    return cast(PreTrainedModel, cast(Any, policy).merge_and_unload(safe_merge=True))


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
    try:
        merged: Any = merged_policy(PeftModel.from_pretrained(model, adapter))
    except Exception as error:  # adapters come from anywhere
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the adapter {adapter} can't be merged into its model: {reason}.",
            "Check that it is a LoRA adapter of this very model.",
        ) from error
    # As any loaded model's. On a CPU, bfloat16 weights without a gradient are packed again for each
    # shape of a batch and kept: some gigabytes in a generation, and no faster.
    return cast(PreTrainedModel, merged).requires_grad_(True)
