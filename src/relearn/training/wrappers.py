"""Wrappers: which part of the model an objective may change, found by gradients before training.

A wrapper goes around any objective. What it looks at is the gradient, at the original model, of the
objective's terms on forget rows, and where it asks for it, that of the cross-entropy on retain
rows; both are means over the whole training set. With LoRA it looks at the matrices B: they start
at zero, so A has no gradient yet, and a row of B that stays zero leaves its output neuron as it
was. The gradient of B is the gradient of the weight itself projected on A's random rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from relearn.base.errors import UserError
from relearn.base.options import Options
from relearn.base.registry import Registry

Gradients = Mapping[str, Tensor]


@dataclass(frozen=True)
class Wrapper:
    """A way to choose what may change.

    Attributes:
        masks: From the gradients on forget and on retain rows by parameter, and its options, to a
            boolean mask for each parameter, of its shape or one that broadcasts to it.
        needs_retain: Whether it reads the gradients on retain rows.
    """

    masks: Callable[..., dict[str, Tensor]]
    needs_retain: bool = False

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.masks.__doc__

    @cached_property
    def options(self) -> Options:
        """What it can be configured with: the keyword arguments of `masks`."""
        return Options("training.wrapper_options", self.masks, given=2)


WRAPPERS: Registry[Wrapper] = Registry("wrapper")


def wrapper(name: str, **declarations: Any) -> Callable[[Callable[..., Any]], Wrapper]:
    """Return a decorator that registers a choice of masks as the wrapper `name`.

    Args:
        name: In configuration files.
        **declarations: The fields of `Wrapper`.
    """

    def register(masks: Callable[..., Any]) -> Wrapper:
        return WRAPPERS.register(name)(Wrapper(masks, **declarations))

    return register


@wrapper("sure")
def sure(
    forget: Gradients, retain: Gradients, percentile: Annotated[float, Field(ge=0, le=100)] = 90.0
) -> dict[str, Tensor]:
    """SURE: only the neurons with the largest gradient on forget rows change.

    A neuron is a row of a weight matrix, an entry of a vector; it changes if the norm of its
    gradient is at least the given percentile of all neurons' norms.

    Source: Zhang et al. 2024, Catastrophic Failure of LLM Unlearning via Quantization
    (arXiv 2410.16454). The code in zjunlp/unlearn finds the mask again for each batch, on that
    batch alone; here it is found once, at the original model, on all rows.

    Args:
        forget: Gradients on forget rows.
        retain: Not used.
        percentile: Percentile of the norms from which a neuron may change.
    """
    norms = {
        name: g.flatten(1).norm(dim=1) if g.dim() > 1 else g.abs() for name, g in forget.items()
    }
    everything = torch.cat(list(norms.values()))
    rank = min(int(len(everything) * percentile / 100), len(everything) - 1)
    threshold = everything.sort().values[rank]
    return {
        name: (norm >= threshold).reshape(-1, *[1] * (forget[name].dim() - 1))
        for name, norm in norms.items()
    }


@wrapper("memflex", needs_retain=True)
def memflex(
    forget: Gradients,
    retain: Gradients,
    max_similarity: Annotated[float, Field(ge=-1, le=1)] = 0.92,
    min_gradient: NonNegativeFloat = 6e-4,
) -> dict[str, Tensor]:
    """MemFlex: only matrices change whose gradient on forget rows is large and unlike retain's.

    A matrix changes if cos(forget gradient, retain gradient) < max_similarity and the mean
    magnitude of the forget gradient > min_gradient.

    Source: Tian et al. 2024, To Forget or Not? Towards Practical Knowledge Unlearning for LLMs
    (arXiv 2407.01920); defaults of the authors' code, for Llama-2-7B. That code takes the gradients
    on randomly changed answers; here as in zjunlp/unlearn they are the objective's own, but over
    all rows instead of batch by batch.

    Args:
        forget: Gradients on forget rows.
        retain: Gradients on retain rows.
        max_similarity: Mu in the paper.
        min_gradient: Sigma in the paper; it depends on the model's size.
    """
    masks = {}
    for name, gradient in forget.items():
        flat, other = gradient.flatten(), retain.get(name, torch.zeros_like(gradient)).flatten()
        unlike = torch.nn.functional.cosine_similarity(flat, other, dim=0) < max_similarity
        masks[name] = (unlike & (flat.abs().mean() > min_gradient)).reshape([1] * gradient.dim())
    return masks


def freeze_masked_out(model: nn.Module, masks: Mapping[str, Tensor]) -> float:
    """Freeze what is masked out as a whole, and return the share of what is masked in.

    Args:
        model: Before it is sharded.
        masks: By parameter.

    Raises:
        UserError: nothing is masked in.
    """
    parameters = dict(model.named_parameters())
    sizes = {name: parameters[name].numel() for name in masks}
    kept = sum(float(mask.float().mean()) * sizes[name] for name, mask in masks.items())
    if not kept:
        raise UserError(
            "training.wrapper: no part of the model passes its thresholds.",
            "Loosen training.wrapper_options.",
        )
    for name, mask in masks.items():
        if not mask.any():
            parameters[name].requires_grad_(False)
    return kept / sum(sizes.values())


def mask_gradients(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Let only what is masked in change, where a parameter is masked in in part.

    Without an adapter, weight decay still shrinks the rows masked out; with one there is nothing to
    shrink, since B is zero there.

    Args:
        model: Its parameters get a hook on their gradient. FSDP2 puts shards in the place of the
            parameters, and drops their hooks: call this after it.
        masks: By parameter.

    Raises:
        UserError: the parameters are no longer apart, as under the first version of FSDP.
    """
    if masks.keys() - dict(model.named_parameters()):
        raise UserError(
            "training.wrapper: this way of sharding joins the parameters that it keeps apart.",
            "Set fsdp_version: 2 in accelerate's configuration.",
        )
    for name, parameter in model.named_parameters():
        mask = masks.get(name)
        if mask is None or not parameter.requires_grad or mask.all():
            continue
        if isinstance(parameter, DTensor):
            whole = mask.to(parameter.dtype).expand(parameter.shape).contiguous()
            shard = distribute_tensor(whole, parameter.device_mesh, parameter.placements)
            # A shard is in no graph: this is the one kind of hook that FSDP2 calls.
            parameter.register_post_accumulate_grad_hook(partial(_mask_grad, mask=shard))
        else:
            parameter.register_hook(lambda gradient, mask=mask: gradient * mask)


def _mask_grad(parameter: Tensor, mask: Tensor) -> None:
    assert parameter.grad is not None
    parameter.grad.mul_(mask)
