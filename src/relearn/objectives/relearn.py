"""ReLearn."""

from relearn.objectives.base import Term, TokenStatistics, objective


@objective("relearn", forget_data="synthesized", regularizer="ce+kl")
def relearn(stats: TokenStatistics) -> list[Term]:
    """ReLearn: cross-entropy on synthesized vague answers, with CE and KL on retain rows.

    L = CE(synthesized forget rows) + CE(retain) + KL(reference || policy on retain)

    Source: Xu et al. 2025, ReLearn: Unlearning via Learning for Large Language Models
    (arXiv 2502.11190). The two retain terms are the regularizer `ce+kl`.
    """
    return [Term("forget_ce", -stats.log_probs[stats.forget_tokens], "forget_tokens")]
