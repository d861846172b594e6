"""Direct preference optimization."""

from pydantic import PositiveFloat
from torch.nn.functional import logsigmoid

from relearn.objectives.base import Term, TokenStatistics, objective


@objective("dpo", chosen_data="idk", needs_reference=True, regularizer="ce")
def dpo(stats: TokenStatistics, beta: PositiveFloat = 0.1) -> list[Term]:
    """DPO: an I-don't-know answer preferred to the private one; with CE on retain rows.

    L = -(2 / beta) * mean over pairs of
        log sigmoid(beta * log(p(c|x) / p_ref(c|x)) - beta * log(p(y|x) / p_ref(y|x)))
    with c the chosen answer and y the private one.

    Source: Rafailov et al. 2023, Direct Preference Optimization (arXiv 2305.18290), as TOFU
    (arXiv 2401.06121) and NPO (arXiv 2404.05868) use it to unlearn. The factor 2 / beta, which
    DPO itself lacks, is that of TOFU's and open-unlearning's code: with it NPO is this loss without
    the chosen answer.

    Args:
        stats: Statistics of the batch.
        beta: Inverse temperature.
    """
    assert stats.is_chosen is not None
    log_ratios = stats.log_ratios()
    margin = log_ratios[stats.is_chosen] - log_ratios[stats.is_forget]
    return [Term("forget_dpo", -2 / beta * logsigmoid(beta * margin), "forget_rows")]
