"""ROUGE recall."""

from rouge_score.rouge_scorer import RougeScorer

from relearn.evaluation.metrics.base import keep_scores, metric
from relearn.evaluation.rows import Rows


def _recalls(rows: Rows, kind: str) -> list[float]:
    scorer = RougeScorer([kind], use_stemmer=True)
    return [float(scorer.score(row.reference, row.generation)[kind].recall) for row in rows]


@metric("rouge1_recall")
def rouge1_recall(rows: Rows) -> float:
    """Share of the reference's words that the answer has, 0 to 1; stemmed.

    Source: Lin 2004, ROUGE; as arXiv 2502.11190 uses it.
    """
    return keep_scores(rows, "rouge1_recall", _recalls(rows, "rouge1"))


@metric("rougeL_recall")
def rouge_l_recall(rows: Rows) -> float:
    """Share of the reference's words that the answer has in the same order, 0 to 1; stemmed.

    Source: Lin 2004, ROUGE; as arXiv 2502.11190 uses it.
    """
    return keep_scores(rows, "rougeL_recall", _recalls(rows, "rougeL"))
