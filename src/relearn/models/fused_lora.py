"""LoRA's linear layer as one function with its own backward pass.

peft computes x W' + s (x A') B' as five operations that autograd takes apart again, with casts to
the adapter's float32 and back between them; on small models these cost as much as the products.
Here each product is made once, in the type of the frozen weight, and added in place by the matrix
product itself; no gradient of a frozen weight is ever computed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn
from torch.nn.functional import linear


class _LoraLinear(torch.autograd.Function):
    """y = x W' + bias + scale (d A') B', where d is x after dropout."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dropped: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
    ) -> Tensor:
        shape = x.shape
        x, dropped = x.reshape(-1, shape[-1]), dropped.reshape(-1, shape[-1])
        low_a, low_b = a.to(x.dtype), b.to(x.dtype)
        inner = dropped @ low_a.t()
        y = linear(x, weight, bias).addmm_(inner, low_b.t(), alpha=scale)
        ctx.save_for_backward(dropped, inner, weight, low_a, low_b)
        ctx.scale, ctx.same = scale, dropped.data_ptr() == x.data_ptr()
        ctx.types = a.dtype, b.dtype
        return y.view(*shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dropped, inner, weight, a, b = ctx.saved_tensors
        shape = grad.shape
        grad = grad.reshape(-1, shape[-1])
        by_inner = (grad @ b).mul_(ctx.scale)
        grad_a = (by_inner.t() @ dropped).to(ctx.types[0])
        grad_b = (grad.t() @ inner).mul_(ctx.scale).to(ctx.types[1])
        grad_x = grad_dropped = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ weight
            if ctx.same:
                grad_x.addmm_(by_inner, a)
            grad_x = grad_x.view(*shape[:-1], -1)
        if not ctx.same:
            grad_dropped = (by_inner @ a).view(*shape[:-1], -1)
        return grad_x, grad_dropped, None, None, grad_a, grad_b, None


def _forward(layer: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Stand in for peft's forward where the layer is plain LoRA; else call it."""
    base = layer.base_layer
    if layer.disable_adapters or layer.merged or args or kwargs or x.dtype != base.weight.dtype:
        return type(layer).forward(layer, x, *args, **kwargs)
    (name,) = layer.active_adapters
    dropped = layer.lora_dropout[name](x)
    return _LoraLinear.apply(
        x,
        dropped,
        base.weight,
        base.bias,
        layer.lora_A[name].weight,
        layer.lora_B[name].weight,
        layer.scaling[name],
    )


def _is_plain(layer: nn.Module) -> bool:
    """Tell whether a layer is LoRA and nothing more, on a frozen linear layer in full precision."""
    return (
        type(layer) is LoraLinear
        and type(layer.base_layer) is nn.Linear
        and len(layer.active_adapters) == 1
        and not layer.lora_variant
        and not layer.base_layer.weight.requires_grad
        and layer.lora_B[layer.active_adapters[0]].bias is None
        and not layer.fan_in_fan_out
    )


@contextmanager
def fused_lora(model: nn.Module) -> Iterator[None]:
    """Let the plain LoRA layers of `model` compute by the fused function while this lasts."""
    layers = [layer for layer in model.modules() if _is_plain(layer)]
    for layer in layers:
        layer.forward = MethodType(_forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
