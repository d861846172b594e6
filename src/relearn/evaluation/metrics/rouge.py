"""ROUGE: how many of the reference's words an answer has. Words are stemmed.

Source: Lin 2004, ROUGE; recall as arXiv 2502.11190 and TOFU (arXiv 2401.06121) use it, F1 as MUSE
(arXiv 2407.06460), whose code does not stem.
"""

from functools import lru_cache

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.scoring import Score

from relearn.evaluation.metrics.base import metric, row_scores
from relearn.evaluation.rows import Rows

_scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)


@lru_cache(maxsize=4096)
def rouge(reference: str, text: str) -> dict[str, Score]:
    """Return precision, recall and F1 of `text` by kind, `rouge1` and `rougeL`, each 0 to 1."""
    scores: dict[str, Score] = _scorer.score(reference, text)
    return scores


def _mean(rows: Rows, kind: str, part: str, name: str) -> float:
    scores = row_scores(
        rows, name, lambda row: float(getattr(rouge(row.reference, row.generation)[kind], part))
    )
    return sum(scores) / len(scores)


@metric("rouge1_recall", needs=("generation",))
def rouge1_recall(rows: Rows) -> float:
    """Share of the reference's words that the answer has, 0 to 1; stemmed.

    Source: Lin 2004, ROUGE; as arXiv 2502.11190 uses it.
    """
    return _mean(rows, "rouge1", "recall", "rouge1_recall")


@metric("rougeL_recall", needs=("generation",))
def rouge_l_recall(rows: Rows) -> float:
    """Share of the reference's words that the answer has in the same order, 0 to 1; stemmed.

    Source: Lin 2004, ROUGE; as arXiv 2502.11190 uses it.
    """
    return _mean(rows, "rougeL", "recall", "rougeL_recall")


@metric("rouge1_f1", needs=("generation",))
def rouge1_f1(rows: Rows) -> float:
    """Harmonic mean of the shares of words that answer and reference have of each other, 0 to 1.

    Source: Lin 2004, ROUGE
    """
    return _mean(rows, "rouge1", "fmeasure", "rouge1_f1")


@metric("rougeL_f1", needs=("generation",))
def rouge_l_f1(rows: Rows) -> float:
    """As ROUGE-1 F1, on the words that come in the same order, 0 to 1.

    Source: Lin 2004, ROUGE
    """
    return _mean(rows, "rougeL", "fmeasure", "rougeL_f1")
