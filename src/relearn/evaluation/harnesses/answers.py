"""How an answer is scored, whichever program asked the model."""

from relearn.evaluation.metrics.exact_match import exact_match
from relearn.evaluation.metrics.rouge import rouge_l_f1, rouge_l_recall
from relearn.evaluation.rows import EvaluatedRow

SCORES = {
    "rougeL_recall": rouge_l_recall,
    "rougeL_f1": rouge_l_f1,
    "exact_match": exact_match,
}
"""Metrics that need nothing but the answer."""


def scores_of(question: str, reference: str, answer: str) -> dict[str, float]:
    """Return an answer's scores by metric, each 0 to 1."""
    row = EvaluatedRow(
        set="forget", question=question, reference=reference, generation=answer.strip()
    )
    return {name: metric.compute([row]) for name, metric in SCORES.items()}
