"""Accuracy on multiple-choice questions."""

from relearn.evaluation.metrics.base import RECALLED, metric
from relearn.evaluation.rows import EvaluatedRow


@metric(
    "multiple_choice_accuracy",
    label="Accuracy on multiple choice",
    higher_is_better=RECALLED,
    needs=("choices", "choice_log_probs"),
)
def multiple_choice_accuracy(row: EvaluatedRow) -> float:
    """Share of questions whose right choice is the one with the most likely letter.

    The question is asked with its choices, lettered, and each letter's probability as the answer is
    compared; no text is generated. A model that knows nothing has 1 over the number of choices.

    Source: Hendrycks et al. 2020, MMLU, arXiv 2009.03300; Li et al. 2024, WMDP, arXiv 2403.03218
    """
    assert row.choices
    assert row.choice_log_probs
    best = max(range(len(row.choices)), key=row.choice_log_probs.__getitem__)
    return float(row.choices[best] == row.reference)
