"""Simple negative preference optimization."""

from pydantic import PositiveFloat
from torch.nn.functional import logsigmoid

from relearn.objectives.base import Term, TokenStatistics, objective


@objective("simnpo", regularizer="ce")
def simnpo(
    stats: TokenStatistics,
    beta: PositiveFloat = 4.5,
    gamma: float = 0.0,
    weight: PositiveFloat = 0.125,
) -> list[Term]:
    """SimNPO: NPO with length-normalized log-probability and no reference; with CE on retain.

    L = -weight * (2 / beta) * mean over forget rows of
        log sigmoid(-beta * mean over the answer's tokens of log p(y_t | x, y_<t) - gamma)

    Source: Fan et al. 2024, Simplicity Prevails: Rethinking Negative Preference Optimization for
    LLM Unlearning (arXiv 2410.07163); defaults of the authors' configuration for TOFU forget10.
    open-unlearning's `delta` is gamma / beta.

    Args:
        stats: Statistics of the batch.
        beta: Inverse temperature.
        gamma: Reward margin; a larger one makes the pull fade earlier.
        weight: Weight of the term, where the retain terms have 1.
    """
    mean = stats.row_sums(stats.log_probs) / stats.row_lengths()
    reward = -beta * mean[stats.is_forget] - gamma
    return [Term("forget_simnpo", -2 / beta * logsigmoid(reward), "forget_rows", weight)]
