"""Negative preference optimization."""

from pydantic import PositiveFloat
from torch.nn.functional import logsigmoid

from relearn.objectives.base import Term, TokenStatistics, objective


@objective("npo", needs_reference=True, regularizer="ce")
def npo(stats: TokenStatistics, beta: PositiveFloat = 0.1) -> list[Term]:
    """NPO: gradient ascent that fades as an answer becomes unlikely; with CE on retain rows.

    L = -(2 / beta) * mean over forget rows of log sigmoid(-beta * log(p(y|x) / p_ref(y|x)))

    Source: Zhang et al. 2024, Negative Preference Optimization (arXiv 2404.05868).
    With beta towards 0 its gradient becomes gradient ascent's.

    Args:
        stats: Statistics of the batch.
        beta: Inverse temperature.
    """
    assert stats.reference_log_probs is not None
    log_ratio = stats.row_sums(stats.log_probs - stats.reference_log_probs)[stats.is_forget]
    return [Term("forget_npo", -2 / beta * logsigmoid(-beta * log_ratio), "forget_rows")]
