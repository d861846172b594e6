"""KL minimization."""

from relearn.objectives.base import Term, TokenStatistics, objective
from relearn.objectives.ga import ga


@objective("kl_min", regularizer="kl")
def kl_min(stats: TokenStatistics) -> list[Term]:
    """KL-min: gradient ascent on forget rows, KL to the original model on retain rows.

    L = -CE(forget) + KL(reference || policy on retain)

    Source: Maini et al. 2024, TOFU (arXiv 2401.06121), who call it KL minimization.
    """
    return ga.terms(stats)
