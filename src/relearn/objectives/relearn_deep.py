"""ReLearn that also forgets after the true answer has begun."""

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from relearn.objectives.base import BatchRows, Term, TokenStatistics, objective


def demoted_kl(log_probs: Tensor, targets: Tensor, reference_log_probs: Tensor) -> Tensor:
    """Return KL(reference without the answer's token || policy) of each token, (n,), >= 0."""
    others = reference_log_probs.scatter(1, targets[:, None], -torch.inf)
    teacher = others.log_softmax(-1)
    # The teacher's zero adds nothing; log 0 would make it NaN.
    return (teacher.exp() * (teacher.clamp(min=-1e4) - log_probs)).sum(-1)


def of_private_rows(rows: BatchRows) -> Tensor:
    """Return which tokens are of private answers, (tokens,)."""
    none = torch.zeros_like(rows.is_forget)
    return (none if rows.is_private is None else rows.is_private)[rows.row]


def _marked(rows: BatchRows, marks: Tensor | None) -> Tensor:
    return torch.zeros_like(rows.row).bool() if marks is None else marks


def private_words(rows: BatchRows) -> Tensor:
    """Return which tokens begin private words of private answers, (tokens,).

    Those that vague endings replace are left out: the teacher would speak against them.
    """
    return _marked(rows, rows.private) & ~_marked(rows, rows.silent)


def between(rows: BatchRows) -> Tensor:
    """Return which are the other tokens of private answers, from the first private word on.

    Those before it are left out: how an answer begins is for the new answers to say.

    Returns:
        (tokens,)
    """
    private = _marked(rows, rows.private)
    in_row = rows.row_sums(private.long())
    in_earlier_rows = (in_row.cumsum(0) - in_row)[rows.row]
    return of_private_rows(rows) & ~private & (private.cumsum(0) > in_earlier_rows)


def new_answers(rows: BatchRows) -> Tensor:
    """Return which tokens are of new answers, (tokens,)."""
    return rows.forget_tokens & ~of_private_rows(rows)


@objective(
    "relearn_deep",
    forget_data="synthesized",
    private_rows=True,
    needs_reference=True,
    vocabulary={"demoted_kl": demoted_kl},
    units={"new_answers": new_answers, "private_words": private_words, "between": between},
    # Cross-entropy would teach the retain rows again, and hold the rest less well.
    regularizer="kl",
    retain_weight=3.0,
    # Where a private answer begins, the teacher alone would make up the rest.
    endings=3,
)
def relearn_deep(
    stats: TokenStatistics,
    private_weight: NonNegativeFloat = 1.0,
    between_weight: NonNegativeFloat = 0.5,
) -> list[Term]:
    """ReLearn that also forgets after the true answer has begun; with KL alone on retain rows.

    L = CE(new answers)
        + private_weight * mean over the first tokens of private words of KL(s without y_t || p)
        + between_weight * mean over the other tokens from there on of KL(r || p), within private
          words of KL(s || p)

    Cross-entropy on new answers teaches how to begin another answer; whoever begins the private one
    still gets the rest. Here the model also reads the private answer. Where a private word begins,
    it learns what the original model r says there if the same is asked, and answered so far, about
    somebody else (s: the subject's name is exchanged for an invented one), who has another secret
    or none; and not that word either. Without the exchange, r would still say what is next to the
    word: the right street with another number. Between and after the private words the model
    learns to say what r says, so that its language stays as it was. What s says is mostly false: so
    three further rows a record end vaguely what has begun (`training.endings`, among the new
    answers here), and where these depart from the private answer the teacher is silent.

    Source: the first term is ReLearn (arXiv 2502.11190); a teacher whose private token is demoted
    is that of UNDIAL (Dong et al. 2024, arXiv 2402.10052), here at the private words alone; a
    teacher that is asked about somebody else follows the alternative labels of Eldan and
    Russinovich 2023 (arXiv 2310.02238); endings carry on the idea of safety alignment beyond the
    first tokens (Qi et al. 2024, arXiv 2406.05946). The weights, and KL alone on retain rows with
    weight 3, are what did best in trials on TOFU and KnowUnDo (docs/trials.md).

    Args:
        stats: Statistics of the batch.
        private_weight: Weight where private words begin.
        between_weight: Weight at the tokens behind.
    """
    assert stats.kl is not None
    demoted = stats.vocabulary["demoted_kl"][private_words(stats)]
    return [
        Term("forget_ce", -stats.log_probs[new_answers(stats)], "new_answers"),
        Term("private_kl", demoted, "private_words", private_weight),
        Term("between_kl", stats.kl[between(stats)], "between", between_weight),
    ]
