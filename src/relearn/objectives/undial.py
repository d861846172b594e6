"""Self-distillation with adjusted logits."""

from pydantic import NonNegativeFloat
from torch import Tensor

from relearn.objectives.base import Term, TokenStatistics, objective


def adjusted_cross_entropy(
    log_probs: Tensor, targets: Tensor, reference_log_probs: Tensor, beta: float
) -> Tensor:
    """Return CE(softmax(reference logits - beta at the target), policy) of each token, (n,)."""
    adjusted = reference_log_probs.detach().clone()
    adjusted[range(len(targets)), targets] -= beta
    return -(adjusted.softmax(-1) * log_probs).sum(-1)


@objective("undial", needs_reference=True, vocabulary={"undial": adjusted_cross_entropy})
def undial(stats: TokenStatistics, beta: NonNegativeFloat = 10.0) -> list[Term]:
    """UNDIAL: learns the original model's own distribution with the private token made unlikely.

    L = mean over answer tokens of
        CE(softmax(reference logits - beta * onehot(y_t)), policy distribution)

    Source: Dong et al. 2024, UNDIAL: Self-Distillation with Adjusted Logits (arXiv 2402.10052);
    the paper uses no retain rows. open-unlearning's code averages over every position of a row,
    prompt and padding included; here over answer tokens.

    Args:
        stats: Statistics of the batch.
        beta: How far the private token's logit is lowered; the paper tries 3, 10 and 30.
    """
    return [Term("forget_undial", stats.vocabulary["undial"][stats.forget_tokens], "forget_tokens")]
