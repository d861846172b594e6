"""Representation misdirection."""

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat
from torch import Tensor

from relearn.objectives.base import Term, TokenStatistics, objective


def control_vector(size: int, seed: int) -> Tensor:
    """Return a random unit vector, (size,), none of whose entries is negative."""
    vector = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    return vector / vector.norm()


@objective("rmu", needs_hidden_states=True, needs_retain=True)
def rmu(
    stats: TokenStatistics,
    layer: NonNegativeInt | None = None,
    steering: PositiveFloat = 6.5,
    alpha: NonNegativeFloat = 1200.0,
    seed: NonNegativeInt = 0,
) -> list[Term]:
    """RMU: drives a layer's hidden states to a random direction on forget rows, holds on retain.

    L = mean over forget tokens of ||h - steering * u||^2 / d
      + alpha * mean over retain tokens of ||h - h_ref||^2 / d
    with h the output of decoder layer `layer`, d its size, u a random unit vector.

    Source: Li et al. 2024, The WMDP Benchmark: Measuring and Reducing Malicious Use With Unlearning
    (arXiv 2403.03218); defaults as for Zephyr-7B. The division by d is the authors' code's, not
    the paper's. The paper has every token of a text, here those of the answers, and it trains
    three layers' MLPs, here what the adapter covers.

    Args:
        stats: Statistics of the batch.
        layer: Decoder layer, from 0; None means 7, or the last one of a smaller model.
        steering: Length of the control vector; near that of the model's own states at this layer.
        alpha: Weight of the retain term.
        seed: Seed of the random direction.
    """
    assert stats.hidden is not None
    forget = stats.hidden[stats.forget_tokens]
    target = steering * control_vector(forget.shape[-1], seed).to(forget)
    terms = [Term("forget_steering", (forget - target).square().mean(-1), "forget_tokens")]
    if stats.reference_hidden is not None:
        drift = stats.hidden - stats.reference_hidden.to(stats.hidden)
        values = drift[stats.retain_tokens].square().mean(-1)
        terms.append(Term("retain_drift", values, "retain_tokens", alpha))
    return terms
