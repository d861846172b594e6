"""Cross-entropy unlearning."""

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from relearn.objectives.base import BatchRows, Term, TokenStatistics, objective


def suppressed_cross_entropy(log_probs: Tensor, targets: Tensor, _: Tensor | None) -> Tensor:
    """Return CE(policy without the target and renormalized, policy) of each token, (n,)."""
    suppressed = log_probs.detach().clone()
    suppressed[range(len(targets)), targets] = -torch.inf
    return -(suppressed.softmax(-1) * log_probs).sum(-1)


def counted_forget_tokens(rows: BatchRows, skip: int) -> Tensor:
    """Return (tokens,) whether a token counts: all but the first `skip` of each forget answer."""
    return rows.forget_tokens & (rows.position >= skip)


@objective(
    "ceu",
    vocabulary={"ceu": suppressed_cross_entropy},
    units={"counted_forget_tokens": counted_forget_tokens},
)
def ceu(stats: TokenStatistics, skip: NonNegativeInt = 1) -> list[Term]:
    """CE-U: learns the model's own distribution with the private token's probability set to 0.

    L = mean over answer tokens of CE(softmax(z with z[y_t] = -inf), softmax(z))
    with z the policy's logits, constant in the first place.

    Source: Yang 2025, CE-U: Cross Entropy Unlearning (arXiv 2503.01224), without retain rows. As in
    the authors' code, the first answer tokens are left out, of the sum and of what it is divided
    by.

    Args:
        stats: Statistics of the batch.
        skip: First tokens of each answer that are left alone.
    """
    counted = counted_forget_tokens(stats, skip)
    return [Term("forget_ceu", stats.vocabulary["ceu"][counted], "counted_forget_tokens")]
