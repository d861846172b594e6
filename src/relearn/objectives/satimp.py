"""Saturation- and importance-weighted gradient ascent."""

from relearn.objectives.base import Term, TokenStatistics, objective


@objective("satimp", regularizer="ce")
def satimp(
    stats: TokenStatistics, beta1: float = 5.0, beta2: float = 1.0, weight: float = 1.0
) -> list[Term]:
    """SatImp: gradient ascent that spares tokens already unlikely, and those sure; CE on retain.

    L = weight * mean over answer tokens of w_t * log p_t, w_t = p_t^beta1 * (1 - p_t)^beta2
    with p_t = p(y_t | x, y_<t) and w_t constant.

    Source: Yang et al. 2025, Exploring Criteria of Loss Reweighting to Enhance LLM Unlearning
    (arXiv 2505.11953). The authors weigh forgetting ten times retention (`retain_weight: 0.1`);
    open-unlearning's configuration file has it the other way round.

    Args:
        stats: Of the batch.
        beta1: Strength of the saturation weight, >= 0.
        beta2: Strength of the importance weight, >= 0.
        weight: Of the term, beside the retain rows' 1.
    """
    log_probs = stats.log_probs[stats.forget_tokens]
    probs = log_probs.detach().exp()
    weights = probs**beta1 * (1 - probs) ** beta2
    return [Term("forget_satimp", weights * log_probs, "forget_tokens", weight)]
