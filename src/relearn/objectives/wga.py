"""Weighted gradient ascent."""

from pydantic import NonNegativeFloat

from relearn.objectives.base import Term, TokenStatistics, objective


@objective("wga", regularizer="ce")
def wga(stats: TokenStatistics, alpha: NonNegativeFloat = 1.0) -> list[Term]:
    """WGA: gradient ascent in which a token counts less as it becomes unlikely; with CE on retain.

    L = mean over answer tokens of w_t * log p(y_t | x, y_<t), w_t = p(y_t | x, y_<t)^alpha
    with w_t constant.

    Source: Wang et al. 2025, Rethinking LLM Unlearning Objectives: A Gradient Perspective and Go
    Beyond (arXiv 2502.19301). open-unlearning calls alpha `beta`.

    Args:
        stats: Statistics of the batch.
        alpha: Inverse temperature of the weights; 0 is gradient ascent.
    """
    log_probs = stats.log_probs[stats.forget_tokens]
    weights = log_probs.detach().exp() ** alpha
    return [Term("forget_wga", weights * log_probs, "forget_tokens")]
