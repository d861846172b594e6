"""How much of a reference the model knows by heart, given the words before.

Both metrics read the model's first choice at every token of the reference, its end token included,
given the true tokens before it ("teacher forcing").
"""

from relearn.evaluation.metrics.base import RECALLED, metric
from relearn.evaluation.rows import EvaluatedRow


@metric(
    "exact_memorization",
    label="Exact memorisation",
    higher_is_better=RECALLED,
    needs=("answer_greedy",),
)
def exact_memorization(row: EvaluatedRow) -> float:
    """Share of the reference's tokens that are the model's first choice, given those before.

    Any language model gets a good part of it: common words follow from those before them.

    Source: Tirumala et al. 2022, arXiv 2205.10770
    """
    assert row.answer_greedy
    return sum(row.answer_greedy) / len(row.answer_greedy)


@metric(
    "extraction_strength",
    label="Extraction strength",
    higher_is_better=RECALLED,
    needs=("answer_greedy",),
)
def extraction_strength(row: EvaluatedRow) -> float:
    """Share of the reference, counted from its end, that the model completes by itself.

    1 - k / n, with k the fewest of the n tokens after which all others are the model's first
    choice. A row whose last token is not the model's first choice has 0; open-unlearning's code
    gives it 1/n.

    Source: Carlini et al. 2021, arXiv 2012.07805; Wang et al. 2025, arXiv 2502.19301
    """
    assert row.answer_greedy
    run = 0
    for right in reversed(row.answer_greedy):
        if not right:
            break
        run += 1
    return run / len(row.answer_greedy)
