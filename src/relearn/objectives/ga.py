"""Gradient ascent."""

from relearn.objectives.base import Term, TokenStatistics, objective


@objective("ga")
def ga(stats: TokenStatistics) -> list[Term]:
    """Gradient ascent: the cross-entropy of the private answers, maximized.

    L = mean over answer tokens of log p(y_t | x, y_<t)

    Source: Jang et al. 2023, Knowledge Unlearning for Mitigating Privacy Risks in Language Models
    (arXiv 2210.01504). Unbounded below: it diverges if trained long enough.
    """
    return [Term("forget_log_prob", stats.log_probs[stats.forget_tokens], "forget_tokens")]
