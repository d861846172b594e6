"""The attack that stores the model in fewer bits, as whoever deploys it will."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import cast

import gguf
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from relearn.audit.base import Attempt, answered, asking, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel

GROUP = 64
# The levels of 4-bit NormalFloat: quantiles of a normal distribution, cut to -1 to 1 (QLoRA, arXiv
# 2305.14314, appendix E), to the digits that bitsandbytes has.
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip
_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


_STANDARD = ("int8", "int4", "nf4", "q8_0")


@attack("precision", standard={"ways": _STANDARD},
        thorough={"ways": (*_STANDARD, "q4_0", "q4_1", *_TYPES)})  # fmt: skip
def precision(model: AttackedModel, facts: Sequence[Fact], *, ways: Sequence[str]) -> list[Attempt]:
    """Round the weights as fewer bits would, or compute in 16 bits, and ask again.

    `int8` and `int4` round to the nearest level by group, `nf4` to those of QLoRA, `q8_0`, `q4_0`
    and `q4_1` as a GGUF file of that type does. What was changed little may be rounded away.

    Source: arXiv 2410.16454 (quantization brings back what was unlearned)
    """
    attempts: list[Attempt] = []
    for way in ways:
        changed = deepcopy(model.model)
        if way in _TYPES:
            changed = cast(PreTrainedModel, changed.to(_TYPES[way]))  # type: ignore[arg-type]  # transformers' types
        else:
            quantize(changed, way)
        attempts += answered(replace(model, model=changed), asking(model, facts, way))
    return attempts


@torch.no_grad()
def quantize(model: nn.Module, way: str) -> None:
    """Round weights in place: of linear layers but the output head; for GGUF, of embeddings too.

    Args:
        model: Any; layers of GPT-2's kind keep their weight the other way round.
        way: One of `WAYS`.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    whole = way in _GGUF
    done: set[int] = set()  # embeddings and head may be one
    for layer in model.modules():
        linear = isinstance(layer, nn.Linear | Conv1D) and (whole or layer is not head)
        if linear or (whole and isinstance(layer, nn.Embedding)):
            weight = cast(Tensor, layer.weight)
            if id(weight) not in done:
                done.add(id(weight))
                rows = weight.T if isinstance(layer, Conv1D) else weight
                rows.copy_(WAYS[way](rows))


def rounded(weight: Tensor, bits: int, group: int = GROUP) -> Tensor:
    """Return a weight after rounding to the nearest of 2^bits - 1 levels about zero, by group.

    Args:
        weight: (outputs, inputs).
        bits: Of each number.
        group: Neighbouring inputs that share a scale; all of a row where it does not divide them.

    Returns:
        The same shape and type.
    """
    groups = _groups(weight, group)
    most = 2 ** (bits - 1) - 1
    scale = groups.abs().amax(-1, keepdim=True).clamp(min=1e-12) / most
    return ((groups / scale).round() * scale).reshape(weight.shape).to(weight.dtype)


def normal_float(weight: Tensor, group: int = GROUP) -> Tensor:
    """Return a weight after rounding to 4-bit NormalFloat by group; as `rounded` otherwise.

    As bitsandbytes stores it, without the second quantization of the scales.
    """
    groups = _groups(weight, group)
    scale = groups.abs().amax(-1, keepdim=True).clamp(min=1e-12)
    levels = torch.tensor(NF4, device=weight.device)
    between = (levels[1:] + levels[:-1]) / 2
    nearest = levels[torch.bucketize((groups / scale).contiguous(), between)]
    return (nearest * scale).reshape(weight.shape).to(weight.dtype)


def as_gguf(weight: Tensor, kind: str) -> Tensor:
    """Return a weight as a GGUF file of that type holds it; the same where its rows do not fit.

    The K-quants, such as Q4_K_M, only llama.cpp can write.
    """
    type_ = gguf.GGMLQuantizationType[kind.upper()]
    if weight.shape[1] % gguf.GGML_QUANT_SIZES[type_][0]:
        return weight  # llama.cpp keeps it in 16 bits
    packed = gguf.quants.quantize(weight.float().cpu().contiguous().numpy(), type_)
    return torch.from_numpy(gguf.quants.dequantize(packed, type_)).to(weight)


def _groups(weight: Tensor, group: int) -> Tensor:
    size = group if weight.shape[1] % group == 0 else weight.shape[1]
    return weight.float().reshape(weight.shape[0], -1, size)


_GGUF = ("q8_0", "q4_0", "q4_1")
WAYS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "int8": partial(rounded, bits=8),
    "int4": partial(rounded, bits=4),
    "nf4": normal_float,
    **{kind: partial(as_gguf, kind=kind) for kind in _GGUF},
}
"""What each way makes of a weight, (outputs, inputs)."""
