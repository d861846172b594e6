"""Primal-dual unlearning."""

from collections.abc import Mapping

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from relearn.objectives.base import Term, TokenStatistics, objective


def squared_logit_margin(log_probs: Tensor, _: Tensor, __: Tensor | None) -> Tensor:
    """Return (largest logit - mean logit)^2 of each token, (n,)."""
    return (log_probs.max(-1).values - log_probs.mean(-1)) ** 2


def dual_ascent(
    means: Mapping[str, float],
    epoch: float,
    dual: float,
    retain_bound: float,
    dual_step: float,
    warmup_epochs: float,
) -> dict[str, float]:
    """Return the dual variable after a step: it rises while the retain loss is over its bound."""
    if epoch <= warmup_epochs or "retain_constraint" not in means:
        return {"dual": dual}
    return {"dual": max(0.0, dual + dual_step * (means["retain_constraint"] - retain_bound))}


@objective(
    "pdu",
    needs_retain=True,
    vocabulary={"margin": squared_logit_margin},
    update=dual_ascent,
)
def pdu(
    stats: TokenStatistics,
    dual: NonNegativeFloat = 50.0,
    retain_bound: NonNegativeFloat = 0.3,
    dual_step: PositiveFloat = 5.0,
    warmup_epochs: NonNegativeFloat = 0.0,
) -> list[Term]:
    """PDU: flattens the logits on forget rows under a bound on the retain rows' cross-entropy.

    L = mean over answer tokens of (max_v z_v - mean_v z_v)^2 + dual * (CE(retain) - retain_bound)
    dual <- max(0, dual + dual_step * (CE(retain) - retain_bound)) after each optimizer step
    with z the policy's logits.

    Source: Entesari et al. 2025, Constrained Entropic Unlearning: A Primal-Dual Framework for Large
    Language Models (arXiv 2506.05314). Defaults as the authors' for TOFU, but for `dual`, where
    they advise 50 or 100, and for `warmup_epochs`, where they have 5 of 10 to 30 epochs. Their code
    averages the margin over every position of a row, prompt and padding included; here it is
    averaged over answer tokens. The loss is shown without the constant dual * retain_bound.

    Args:
        stats: Statistics of the batch.
        dual: Initial value of the dual variable.
        retain_bound: Bound on CE(retain); somewhat above its value before unlearning.
        dual_step: Step size of the dual variable.
        warmup_epochs: Epochs at the start in which the dual variable does not change.
    """
    margin = stats.vocabulary["margin"][stats.forget_tokens]
    retain_ce = -stats.log_probs[stats.retain_tokens]
    return [
        Term("forget_margin", margin, "forget_tokens"),
        Term("retain_constraint", retain_ce, "retain_tokens", dual),
    ]
