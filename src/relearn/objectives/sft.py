"""Supervised fine-tuning."""

from relearn.objectives.base import Term, TokenStatistics, objective


@objective("sft")
def sft(stats: TokenStatistics) -> list[Term]:
    """Cross-entropy on the rows as they are; makes the target model before unlearning.

    L = -mean over answer tokens of log p(y_t | x, y_<t)
    """
    return [Term("ce", -stats.log_probs[stats.forget_tokens], "forget_tokens")]
