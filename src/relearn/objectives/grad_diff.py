"""Gradient difference."""

from relearn.objectives.base import Term, TokenStatistics, objective
from relearn.objectives.ga import ga


@objective("grad_diff", regularizer="ce")
def grad_diff(stats: TokenStatistics) -> list[Term]:
    """GradDiff: gradient ascent on forget rows, descent (CE) on retain rows.

    L = -CE(forget) + CE(retain)

    Source: Liu et al. 2022, Continual Learning and Private Unlearning (arXiv 2203.12817); named so
    by TOFU (Maini et al. 2024, arXiv 2401.06121).
    """
    return ga.terms(stats)
