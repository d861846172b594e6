"""Saturation- and importance-weighted gradient ascent."""

from pydantic import NonNegativeFloat, PositiveFloat

from relearn.objectives.base import Term, TokenStatistics, objective


@objective("satimp", regularizer="ce", retain_weight=0.1)
def satimp(
    stats: TokenStatistics,
    beta1: NonNegativeFloat = 5.0,
    beta2: NonNegativeFloat = 1.0,
    weight: PositiveFloat = 1.0,
) -> list[Term]:
    """SatImp: gradient ascent that spares tokens already unlikely, and those sure; CE on retain.

    L = weight * mean over answer tokens of w_t * log p_t + 0.1 * CE(retain)
    with p_t = p(y_t | x, y_<t) and w_t = p_t^beta1 * (1 - p_t)^beta2, constant.

    Source: Yang et al. 2025, Exploring Criteria of Loss Reweighting to Enhance LLM Unlearning
    (arXiv 2505.11953). The authors weigh forgetting ten times retention, and so do we by default;
    open-unlearning's configuration file has it the other way round.

    Args:
        stats: Statistics of the batch.
        beta1: Strength of the saturation weight.
        beta2: Strength of the importance weight.
        weight: Weight of the term; `retain_weight` is 0.1 here unless it is configured.
    """
    log_probs = stats.log_probs[stats.forget_tokens]
    probs = log_probs.detach().exp()
    weights = probs**beta1 * (1 - probs) ** beta2
    return [Term("forget_satimp", weights * log_probs, "forget_tokens", weight)]
