"""RMS norms, gated MLPs and rotary positions as one function each, with its own backward pass.

On a CPU these cheap parts take almost as long as the products: each is half a dozen passes over the
activations forward, more backward, and autograd keeps what every one of them reads. Here a part
keeps nothing but its inputs, and what it hands to the next product can be made again from them.

Parts are recognized by their names and tried on random numbers: one whose output differs in a
single bit is left as it is.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from relearn.models.recomputation import made_again

MLP_PARTS = ["act_fn", "down_proj", "gate_proj", "up_proj"]
ROTATE = "apply_rotary_pos_emb"  # transformers' name in every model's module

Forward = Callable[[Any, Tensor], Tensor]


class _RMSNorm(torch.autograd.Function):
    """weight * x / sqrt(mean(x^2) + eps), the quotient in float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, dtype: Any) -> Tensor:
        ctx.save_for_backward(x, weight, scale)
        return _normed(x, weight, scale, dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        normed = x.float() * scale
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = (grad * normed.to(x.dtype)).flatten(0, -2).sum(0).to(weight.dtype)
        by_normed = (grad * weight).float()
        mean = torch.linalg.vecdot(by_normed, normed)[..., None] / x.shape[-1]
        grad_x = by_normed.addcmul_(normed, mean, value=-1).mul_(scale)
        return grad_x.to(x.dtype), grad_weight, None, None


def _normed(x: Tensor, weight: Tensor, scale: Tensor, dtype: torch.dtype | None) -> Tensor:
    y = (x.float() * scale).to(x.dtype)
    y = y.mul_(weight) if y.dtype == weight.dtype else weight * y
    return y if dtype is None else y.to(dtype)


class _Gated(torch.autograd.Function):
    """silu(gate) * up."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return _gated(gate, up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        by_gate = torch.ops.aten.silu_backward(grad * up, gate)
        return by_gate, silu(gate).mul_(grad)


def _gated(gate: Tensor, up: Tensor) -> Tensor:
    return silu(gate).mul_(up)


class _Rotated(torch.autograd.Function):
    """x * cos + (-x2, x1) * sin, where x = (x1, x2)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        half = x.shape[-1] // 2
        y = x * cos
        y[..., :half] -= x[..., half:] * sin[..., :half]
        y[..., half:] += x[..., :half] * sin[..., half:]
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        half = grad.shape[-1] // 2
        by_x = grad * cos
        by_x[..., :half] += grad[..., half:] * sin[..., half:]
        by_x[..., half:] -= grad[..., :half] * sin[..., :half]
        return by_x, None, None


def _norm(module: Any, x: Tensor) -> Tensor:
    kind = x.device.type
    # Products read it in autocast's type: made once, not by each of them.
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    with torch.no_grad():
        variance = x.float().pow(2).mean(-1, keepdim=True)
        scale = torch.rsqrt(variance + module.variance_epsilon)
    inputs = x, module.weight, scale, dtype
    return made_again(_RMSNorm.apply(*inputs), _normed, *inputs)


def _mlp(module: Any, x: Tensor) -> Tensor:
    gate, up = module.gate_proj(x), module.up_proj(x)
    if gate.dtype != up.dtype:
        return module.down_proj(module.act_fn(gate) * up)
    y = made_again(_Gated.apply(gate, up), _gated, gate, up)
    return module.down_proj(y)


def _rotate(
    plain: Any, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, *args: Any, **kw: Any
) -> Any:
    """Stand in for transformers' `apply_rotary_pos_emb`."""
    if args or set(kw) - {"unsqueeze_dim"} or cos.shape[-1] != q.shape[-1]:
        return plain(q, k, cos, sin, *args, **kw)
    cos, sin = (t.unsqueeze(kw.get("unsqueeze_dim", 1)) for t in (cos, sin))
    return _Rotated.apply(q, cos, sin), _Rotated.apply(k, cos, sin)


@contextmanager
def fused_parts(model: nn.Module) -> Iterator[None]:
    """Let `model` compute its cheap parts by the fused functions while this lasts."""
    tried: dict[type, bool] = {}
    fused = []
    for module in model.modules():
        forward, kind = _forward_for(module), type(module)
        if forward is None or "forward" in vars(module):
            continue
        if kind not in tried:
            tried[kind] = _same(forward, module)
        if tried[kind]:
            module.forward = partial(forward, module)
            fused.append(module)
    try:
        with _rotations(model):
            yield
    finally:
        for module in fused:
            del module.forward


def _forward_for(module: nn.Module) -> Forward | None:
    """Return what could stand in for the forward pass of a module."""
    if sorted(name for name, _ in module.named_children()) == MLP_PARTS:
        return _mlp
    is_norm = type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon")
    return _norm if is_norm else None


@torch.no_grad()
def _same(forward: Forward, module: Any) -> bool:
    """Tell whether a module's output is the same either way, on random numbers."""
    width = module.weight.shape[-1] if forward is _norm else module.gate_proj.in_features
    was_training = module.training
    module.eval()
    x = _random(1, 3, width).to(next(module.parameters()))
    try:
        plain, ours = module(x), forward(module, x)
    except (TypeError, ValueError, RuntimeError, AttributeError):
        return False
    finally:
        module.train(was_training)
    return plain.dtype == ours.dtype and torch.equal(plain, ours)


@contextmanager
def _rotations(model: nn.Module) -> Iterator[None]:
    """Let the fused rotation stand in for the one in the modules that `model` is written in."""
    files = {sys.modules[type(module).__module__] for module in model.modules()}
    found = {file: getattr(file, ROTATE) for file in files if hasattr(file, ROTATE)}
    plain = {file: function for file, function in found.items() if _rotates_alike(function)}
    for file, function in plain.items():
        setattr(file, ROTATE, partial(_rotate, function))
    try:
        yield
    finally:
        for file, function in plain.items():
            setattr(file, ROTATE, function)


@torch.no_grad()
def _rotates_alike(plain: Any) -> bool:
    q, k, cos, sin = _random(1, 2, 3, 8), _random(1, 1, 3, 8), _random(1, 3, 8), _random(1, 3, 8)
    try:
        theirs, ours = plain(q, k, cos, sin), _rotate(plain, q, k, cos, sin)
        return all(torch.equal(*pair) for pair in zip(theirs, ours, strict=True))
    except (TypeError, ValueError, RuntimeError):
        return False


def _random(*shape: int) -> Tensor:
    """Return random numbers without moving the generator that dropout draws from."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
