"""Merging adapters into a plain model folder: one as it is, or several by TIES."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils.merge_utils import ties
from torch import Tensor
from transformers import PreTrainedModel

from relearn.base.errors import UserError
from relearn.config import ModelConfig
from relearn.models.adapters import is_adapter, merge_adapter, untie_adapted_head
from relearn.models.loading import load_model, load_tokenizer


def write_merged(
    model_folder: Path,
    adapter: Path,
    folder: Path,
    config: ModelConfig,
    tokenizer: Path | None = None,
) -> None:
    """Write model plus adapter to `folder`, which transformers then loads with no relearn.

    Args:
        model_folder: The model that the adapter was trained on.
        adapter: The adapter's folder.
        folder: Where to; made by this function.
        config: How the model is loaded.
        tokenizer: Folder of a tokenizer other than the model's; words that it adds get rows.
    """
    model = load_model(model_folder, config)
    if tokenizer:
        words = len(load_tokenizer(tokenizer, config))
        if words > cast(Tensor, model.get_input_embeddings().weight).shape[0]:
            model.resize_token_embeddings(words)
    _write(merge_adapter(model, adapter), tokenizer or model_folder, folder, config)


def write_ties(
    model_folder: Path, adapters: Sequence[Path], folder: Path, config: ModelConfig, density: float
) -> None:
    """Write the model with the TIES merge of several adapters' changes to `folder`.

    Of each adapter's change of each weight matrix, B A scaled, the `density` largest entries stay;
    each entry takes the sign that has more weight over the adapters, and the mean of those changes
    that have it.

    Source: Yadav et al. 2023, TIES-Merging (arXiv 2306.01708), as ZJUKLAB merges two unlearned
    models in SemEval-2025 task 4. Their code trims and merges the factors A and B one by one, whose
    product is another matrix; here what is merged is the change itself.

    Args:
        model_folder: The model that the adapters were trained on.
        adapters: Their folders, at least two.
        folder: Where to; made by this function.
        config: How the model is loaded.
        density: Share of the entries that stay, above 0 to 1.

    Raises:
        UserError: the density is out of range, or a folder holds a whole model.
    """
    for adapter in adapters:
        if not is_adapter(adapter):
            raise UserError(
                f"merge: {adapter.name!r} is trained as a whole, and TIES merges adapters.",
                "Merge without --ties, or train with training.method=lora.",
            )
    if not 0 < density <= 1:
        raise UserError(f"a density of {density} is not above 0 and at most 1.", "Try 0.8.")
    model = load_model(model_folder, config)
    names = [str(i) for i in range(len(adapters))]
    policy = PeftModel.from_pretrained(model, adapters[0], adapter_name=names[0])
    for name, adapter in zip(names[1:], adapters[1:], strict=True):
        policy.load_adapter(str(adapter), adapter_name=name)
    untie_adapted_head(policy)
    with torch.no_grad():
        for layer in policy.modules():
            if isinstance(layer, LoraLayer):
                _add_ties(layer, names, density)
    _write(policy.unload(), model_folder, folder, config)


def _add_ties(layer: Any, names: Sequence[str], density: float) -> None:
    weight = layer.get_base_layer().weight
    changes = [layer.get_delta_weight(name).float() for name in names if name in layer.lora_A]
    merged = ties(changes, torch.ones(len(changes), device=weight.device), density)
    weight += merged.to(weight.dtype)


def _write(model: PreTrainedModel, source: Path, folder: Path, config: ModelConfig) -> None:
    model.save_pretrained(folder)
    load_tokenizer(source, config).save_pretrained(folder)
