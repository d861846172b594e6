"""Alternate preference optimization."""

from pydantic import PositiveFloat

from relearn.objectives.base import Term, TokenStatistics, objective
from relearn.objectives.dpo import dpo


@objective("altpo", chosen_data="alternative", needs_reference=True, regularizer="ce")
def altpo(stats: TokenStatistics, beta: PositiveFloat = 0.1) -> list[Term]:
    """AltPO: a made-up answer of the same form preferred to the private one; with CE on retain.

    The loss is DPO's; a plausible answer keeps the model's form of answering where an
    I-don't-know would change it. Its risk: the model states what is not true.

    Source: Mekala et al. 2024, Alternate Preference Optimization for Unlearning Factual Knowledge
    in Large Language Models (arXiv 2409.13474). The paper samples several alternatives for each
    question from the model itself and searches beta over 0.05, 0.1 and 0.5.

    Args:
        stats: Statistics of the batch.
        beta: Inverse temperature.
    """
    return dpo.terms(stats, beta)
