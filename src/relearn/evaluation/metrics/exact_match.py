"""Exact match."""

import re
import string

from relearn.evaluation.metrics.base import RECALLED, metric
from relearn.evaluation.rows import EvaluatedRow

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalized_answer(text: str) -> str:
    """Return `text` in lower case, without punctuation, articles and extra white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


@metric("exact_match", label="Exact match", higher_is_better=RECALLED, needs=("generation",))
def exact_match(row: EvaluatedRow) -> float:
    """Share of answers equal to the reference, apart from case, punctuation and articles.

    Source: Rajpurkar et al. 2016, SQuAD, arXiv 1606.05250, the normalisation of its script
    """
    return float(normalized_answer(row.generation) == normalized_answer(row.reference))
