"""Norms with their scale held fixed, which makes them linear."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FrozenNorm:
    """A norm at given inputs, its scale taken as a constant there.

    Then `norm(y) = gain * (y - mean(y)) + bias`, without the mean for a root-mean-square norm. So
    what a sum of parts passes through it is the sum of what each part passes (Elhage et al. 2021,
    A Mathematical Framework for Transformer Circuits; nostalgebraist's and TransformerLens' direct
    logit attribution).

    Attributes:
        gain: (n, hidden), weight times the inverse scale of each input.
        bias: (hidden,).
        centred: Whether the mean over the hidden dimension is taken off first.
    """

    gain: Tensor
    bias: Tensor
    centred: bool

    @classmethod
    def at(cls, norm: nn.Module, hidden: Tensor) -> "FrozenNorm":
        """Freeze `norm` at the inputs `hidden` (n, hidden).

        Weight, bias and centring are found by probing, so any LayerNorm or RMSNorm will do,
        whatever it is called and however it keeps its weight.
        """
        size = hidden.shape[-1]
        if isinstance(norm, nn.Identity):
            return cls(torch.ones_like(hidden).float(), hidden.new_zeros(size).float(), False)
        signs = torch.ones_like(hidden[:1])
        signs[:, ::2] = -1
        bias = norm(torch.zeros_like(signs)).float()[0]
        centred = torch.allclose(norm(signs + 8), norm(signs), rtol=0.05, atol=0.05)
        weight = (norm(signs).float()[0] - bias) / _centre(signs.float()[0], centred)
        passed = norm(hidden).float() - bias
        straight = weight * _centre(hidden.float(), centred)
        scale = (passed * straight).sum(-1) / straight.square().sum(-1).clamp_min(1e-30)
        return cls(scale[:, None] * weight, bias, centred)

    def apply(self, parts: Tensor) -> Tensor:
        """Pass parts of the inputs, (n, …, hidden), through the frozen norm, its bias left out."""
        gain = self.gain.reshape(len(self.gain), *[1] * (parts.dim() - 2), -1)
        return gain * _centre(parts.float(), self.centred)

    def pull_back(self, directions: Tensor) -> Tensor:
        """Return what `directions` (n, hidden) behind the norm are before it: the transpose."""
        return _centre(self.gain * directions.float(), self.centred)


def _centre(values: Tensor, centred: bool) -> Tensor:
    return values - values.mean(-1, keepdim=True) if centred else values
