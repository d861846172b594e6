"""The attack that stores the model in fewer bits, as whoever deploys it will."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from relearn.audit.base import Attempt, asked, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel

GROUP = 64
_BITS = {"int8": 8, "int4": 4}
_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@attack("precision", standard={"ways": ("int8", "int4")},
        thorough={"ways": ("int8", "int4", "bfloat16", "float16")})  # fmt: skip
def precision(model: AttackedModel, facts: Sequence[Fact], *, ways: Sequence[str]) -> list[Attempt]:
    """Round the weights to 8 and 4 bits by group, or compute in 16 bits, and ask again.

    What was changed little may be rounded away.

    Source: arXiv 2410.16454 (quantization brings back what was unlearned)
    """
    attempts: list[Attempt] = []
    for way in ways:
        changed = deepcopy(model.model)
        if way in _TYPES:
            changed = cast(PreTrainedModel, changed.to(_TYPES[way]))  # type: ignore[arg-type]  # transformers' types
        else:
            quantize(changed, _BITS[way])
        attempts += asked(replace(model, model=changed), facts, way)
    return attempts


@torch.no_grad()
def quantize(model: nn.Module, bits: int) -> None:
    """Round the weights of all linear layers but the output head in place."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and layer is not head:
            layer.weight.copy_(rounded(layer.weight, bits))


def rounded(weight: Tensor, bits: int, group: int = GROUP) -> Tensor:
    """Return a weight after rounding to the nearest of 2^bits - 1 levels about zero, by group.

    Args:
        weight: (outputs, inputs).
        bits: Of each number.
        group: Neighbouring inputs that share a scale; all of a row where it does not divide them.

    Returns:
        The same shape and type.
    """
    size = group if weight.shape[1] % group == 0 else weight.shape[1]
    groups = weight.float().reshape(weight.shape[0], -1, size)
    most = 2 ** (bits - 1) - 1
    scale = groups.abs().amax(-1, keepdim=True).clamp(min=1e-12) / most
    return ((groups / scale).round() * scale).reshape(weight.shape).to(weight.dtype)
