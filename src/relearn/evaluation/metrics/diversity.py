"""Diversity and repetition of an answer's words.

Distinct-n was proposed over a whole set (Li et al. 2016, arXiv 1510.03055), where it falls as the
set grows; here it is taken on each answer and averaged, so that sets of any size compare. Words are
those of the linguistic score. Where a text has no n-gram, nothing repeats.
"""

from functools import lru_cache

from relearn.evaluation.metrics.base import metric, row_scores
from relearn.evaluation.metrics.language import words
from relearn.evaluation.rows import Rows

REPEATED_NGRAM = 4


@lru_cache(maxsize=4096)
def distinct_share(text: str, n: int) -> float:
    """Return the share of different n-grams among all n-grams of a text, above 0 to 1."""
    tokens = words(text)
    ngrams = list(zip(*(tokens[i:] for i in range(n)), strict=False))
    return len(set(ngrams)) / len(ngrams) if ngrams else 1.0


def _mean_distinct(rows: Rows, n: int, name: str) -> float:
    scores = row_scores(rows, name, lambda row: distinct_share(row.generation, n))
    return sum(scores) / len(scores)


@metric("distinct_1", needs=("generation",))
def distinct_1(rows: Rows) -> float:
    """Share of different words among an answer's words, mean over answers, above 0 to 1.

    Source: Li et al. 2016 (arXiv 1510.03055), there over the whole set
    """
    return _mean_distinct(rows, 1, "distinct_1")


@metric("distinct_2", needs=("generation",))
def distinct_2(rows: Rows) -> float:
    """Share of different word pairs among an answer's pairs, mean over answers, above 0 to 1.

    Source: Li et al. 2016 (arXiv 1510.03055), there over the whole set
    """
    return _mean_distinct(rows, 2, "distinct_2")


@metric("repetition_rate", needs=("generation",))
def repetition_rate(rows: Rows) -> float:
    """Share of an answer's runs of four words that came before in it, mean, 0 to below 1.

    Source: Welleck et al. 2020 (arXiv 1908.04319), seq-rep-4; there on tokens of the model
    """
    scores = row_scores(
        rows, "repetition_rate", lambda row: 1 - distinct_share(row.generation, REPEATED_NGRAM)
    )
    return sum(scores) / len(scores)
