"""Exact match."""

import re
import string

from relearn.evaluation.metrics.base import metric, row_scores
from relearn.evaluation.rows import Rows

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalized_answer(text: str) -> str:
    """Return `text` in lower case, without punctuation, articles and superfluous white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


@metric("exact_match", needs=("generation",))
def exact_match(rows: Rows) -> float:
    """Share of answers that are the reference but for case, punctuation and articles, 0 to 1.

    Source: Rajpurkar et al. 2016, SQuAD (arXiv 1606.05250), its evaluation script's normalisation
    """
    scores = row_scores(
        rows,
        "exact_match",
        lambda row: float(normalized_answer(row.generation) == normalized_answer(row.reference)),
    )
    return sum(scores) / len(scores)
