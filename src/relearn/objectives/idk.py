"""Fine-tuning on I-don't-know answers."""

from relearn.objectives.base import Term, TokenStatistics, objective
from relearn.objectives.relearn import relearn


@objective("idk", forget_data="idk", regularizer="ce")
def idk(stats: TokenStatistics) -> list[Term]:
    """IDK: cross-entropy on I-don't-know answers to the forget questions, and on retain rows.

    L = CE(I-don't-know answers) + CE(retain)

    Source: Maini et al. 2024, TOFU (arXiv 2401.06121), there called preference optimization. The
    answers are relearn's own (`relearn/training/idk_answers.txt`).
    """
    return relearn.terms(stats)
