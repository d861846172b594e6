"""How much of a reference the model holds, word for word, when it is told the words before.

Both metrics read the model's first choices at every token of the reference, its end token included,
given the true tokens before ("teacher forcing").
"""

from relearn.evaluation.metrics.base import metric, row_scores
from relearn.evaluation.rows import EvaluatedRow, Rows


def _exact_share(row: EvaluatedRow) -> float:
    assert row.answer_greedy
    return sum(row.answer_greedy) / len(row.answer_greedy)


def _extractable_share(row: EvaluatedRow) -> float:
    assert row.answer_greedy
    run = 0
    for right in reversed(row.answer_greedy):
        if not right:
            break
        run += 1
    return run / len(row.answer_greedy)


@metric("exact_memorization", needs=("answer_greedy",))
def exact_memorization(rows: Rows) -> float:
    """Share of the reference's tokens that are the model's first choice, mean over rows, 0 to 1.

    A model that only knows the language has a good part of it: common words follow from those
    before. Source: Tirumala et al. 2022 (arXiv 2205.10770)
    """
    scores = row_scores(rows, "exact_memorization", _exact_share)
    return sum(scores) / len(scores)


@metric("extraction_strength", needs=("answer_greedy",))
def extraction_strength(rows: Rows) -> float:
    """Share of the reference, from its end, that the model completes by itself, mean, 0 to 1.

    1 - k / n, with the least k tokens of n after which all others are the model's first choice.
    Source: Carlini et al. 2021 (arXiv 2012.07805); Wang et al. 2025 (arXiv 2502.19301). A row none
    of whose tails is completed counts 0; the code of open-unlearning gives it 1/n.
    """
    scores = row_scores(rows, "extraction_strength", _extractable_share)
    return sum(scores) / len(scores)
