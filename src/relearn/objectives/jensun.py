"""Jensen-Shannon divergences towards I-don't-know answers and from the original model."""

from math import log

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from relearn.objectives.base import Term, TokenStatistics, objective


def js_divergence(log_probs: Tensor, targets: Tensor, reference_log_probs: Tensor) -> Tensor:
    """Return JSD(reference, policy) of each token, (n,), in nats, from 0 to log 2."""
    mean = torch.logaddexp(log_probs, reference_log_probs) - log(2)
    policy = log_probs.exp() * (log_probs - mean)
    reference = reference_log_probs.exp() * (reference_log_probs - mean)
    return (policy + reference).sum(-1) / 2


def js_divergence_from_token(log_probs: Tensor) -> Tensor:
    """Return JSD(all on one token, policy), in nats, from 0 to log 2.

    Of tokens other than that one the policy's p has p log(p / (p/2)), so that the sum depends on
    the token's own probability alone.

    Args:
        log_probs: (n,) of that token under the policy.
    """
    probs = log_probs.exp()
    return log(2) + (probs * log_probs - (1 + probs) * probs.log1p()) / 2


@objective(
    "jensun",
    forget_data="idk",
    vocabulary={"js_divergence": js_divergence},
    vocabulary_of="retain",
    needs_reference=True,
    needs_retain=True,
)
def jensun(
    stats: TokenStatistics,
    forget_weight: NonNegativeFloat = 1.0,
    keep_weight: NonNegativeFloat = 1.0,
) -> list[Term]:
    """JensUn: Jensen-Shannon divergences towards an I-don't-know answer, and from the original.

    L = forget_weight * mean over the I-don't-know answers' tokens of JSD(onehot(c_t), p)
      + keep_weight * mean over retain tokens of JSD(r, p)

    Both are bounded, by log 2, and their gradients vanish where a token is far from its target, so
    that the forget term cannot take the model apart.

    Source: Singh et al. 2025, Unlearning That Lasts (arXiv 2509.02820). The paper has one
    answer, "No idea"; here each question gets one of relearn's own
    (`relearn/training/idk_answers.txt`).

    Args:
        stats: Statistics of the batch.
        forget_weight: Weight of the first term.
        keep_weight: Weight of the second term.
    """
    towards = js_divergence_from_token(stats.log_probs[stats.forget_tokens])
    kept = stats.vocabulary["js_divergence"][stats.retain_tokens]
    return [
        Term("forget_jsd", towards, "forget_tokens", forget_weight),
        Term("retain_jsd", kept, "retain_tokens", keep_weight),
    ]
