"""What is added on the retain rows, with any forget objective."""

from torch import Tensor

from relearn.objectives.base import Term, TokenStatistics


def retain_terms(stats: TokenStatistics, kind: str, weight: float) -> list[Term]:
    """Return the terms that keep the model as it is on retain rows.

    `ce` is the cross-entropy of the retain answers; `kl` is KL(reference || policy) at each answer
    token (arXiv 2502.11190). The paper's own code averages the KL over every
    position, prompt and padding to 512 tokens included, so that its weight shrinks with the
    padding; here it is averaged over answer tokens and does not depend on padding.

    Args:
        stats: Statistics of the batch.
        kind: `none`, `ce`, `kl` or `ce+kl`.
        weight: Factor of every term, >= 0.
    """
    retain = stats.retain_tokens
    terms = []
    if "ce" in kind:
        terms.append(Term("retain_ce", -stats.log_probs[retain], "retain_tokens", weight))
    if "kl" in kind:
        assert stats.kl is not None
        terms.append(Term("retain_kl", stats.kl[retain], "retain_tokens", weight))
    return terms


def retain_loss(stats: TokenStatistics, kind: str = "ce", weight: float = 1.0) -> Tensor:
    """Return the same as a loss on one batch, a scalar: each term averaged over its tokens.

    Args:
        stats: Statistics of the batch; with a reference for `kl`.
        kind: `none`, `ce`, `kl` or `ce+kl`.
        weight: Factor of every term, >= 0.
    """
    zero = stats.log_probs.new_zeros(())
    terms = retain_terms(stats, kind, weight)
    return sum((t.weight * t.values.sum() / max(len(t.values), 1) for t in terms), zero)
