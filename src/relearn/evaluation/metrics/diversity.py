"""Diversity and repetition of an answer's words.

Distinct-n was proposed for a whole set (Li et al. 2016, arXiv 1510.03055), where it falls as the
set grows. Here it is computed for each answer and averaged, so that sets of any size can be
compared. Words are those of the linguistic score. A text too short for an n-gram has no repetition.
"""

from functools import lru_cache

from nltk.util import ngrams

from relearn.evaluation.metrics.base import metric
from relearn.evaluation.metrics.language import words
from relearn.evaluation.rows import EvaluatedRow

REPEATED_NGRAM = 4


@lru_cache(maxsize=4096)
def distinct_share(text: str, n: int) -> float:
    """Return the share of different n-grams among all n-grams of a text, above 0 to 1."""
    runs = list(ngrams(words(text), n))
    return len(set(runs)) / len(runs) if runs else 1.0


@metric("distinct_1", label="Distinct-1", higher_is_better=True, needs=("generation",))
def distinct_1(row: EvaluatedRow) -> float:
    """Distinct words as a share of an answer's words.

    Source: Li et al. 2016, arXiv 1510.03055, there over the whole set
    """
    return distinct_share(row.generation, 1)


@metric("distinct_2", label="Distinct-2", higher_is_better=True, needs=("generation",))
def distinct_2(row: EvaluatedRow) -> float:
    """Distinct word pairs as a share of an answer's word pairs.

    Source: Li et al. 2016, arXiv 1510.03055, there over the whole set
    """
    return distinct_share(row.generation, 2)


@metric("repetition_rate", label="Repetition rate", higher_is_better=False, needs=("generation",))
def repetition_rate(row: EvaluatedRow) -> float:
    """Share of an answer's four-word sequences that already occurred in it.

    Source: Welleck et al. 2020, arXiv 1908.04319 (seq-rep-4), there on the model's tokens
    """
    return 1 - distinct_share(row.generation, REPEATED_NGRAM)
