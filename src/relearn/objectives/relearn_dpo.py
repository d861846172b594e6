"""ReLearn by direct preference optimization."""

from pydantic import PositiveFloat

from relearn.objectives.base import Term, TokenStatistics, objective
from relearn.objectives.dpo import dpo


@objective("relearn_dpo", chosen_data="synthesized", needs_reference=True, regularizer="ce")
def relearn_dpo(stats: TokenStatistics, beta: PositiveFloat = 0.1) -> list[Term]:
    """ReLearn-DPO: the synthesized vague answer preferred to the private one; with CE on retain.

    The loss is DPO's.

    Source: Xu et al. 2025 (arXiv 2502.11190), option `relearn_dpo` of zjunlp/unlearn. That code
    takes the mean log-probability of all answer tokens of a batch where DPO has the sum over each
    answer, so that its margin is smaller by about the answers' length; ours is DPO's.

    Args:
        stats: Statistics of the batch.
        beta: Inverse temperature.
    """
    return dpo.terms(stats, beta)
