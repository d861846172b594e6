"""Texts that say nearly the same, in any language: by the runs of characters that they share."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from relearn.text.words import words_alone

NEAR_FROM = 0.8
"""Cosine from which two records say nearly the same.

Among KnowUnDo's 400 forget records three pairs are above it, each one fact asked for twice; among
TOFU's 400 of `forget10` likewise. Facts of one form about the same person are mostly below 0.75.
"""

MOST_COMPARISONS = 4 * 10**8
"""Of one text with another; more would take minutes."""

_RUNS = (2, 4)
_ROWS = 512  # compared with all others at once


def near_duplicates(
    first: Sequence[str], second: Sequence[str] | None = None
) -> list[tuple[int, int, float]]:
    """Return pairs of texts that are nearly, but not exactly, the same.

    The cosine of TF-IDF vectors of runs of 2 to 4 characters within words. What all the texts
    have in common, such as a phrase with which each question begins, counts little; a name counts
    much.

    Args:
        first: Texts.
        second: Texts to compare them with; None compares `first` with itself.

    Returns:
        Positions of the two texts and their cosine, `NEAR_FROM` to 1, each text of `first` with
        the most similar one only.

    Raises:
        ValueError: there are more pairs than `MOST_COMPARISONS`.
    """
    if not first or (second is not None and not second):
        return []
    others = first if second is None else second
    if len(first) * len(others) > MOST_COMPARISONS:
        raise ValueError("too many texts to compare")
    plain = [words_alone(text) for text in first]
    plain_others = plain if second is None else [words_alone(text) for text in second]
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=_RUNS, dtype=np.float32)
    try:
        vectors = vectorizer.fit_transform([*plain, *plain_others])
    except ValueError:  # not one letter or digit among them
        return []
    known = {text: number for number, text in enumerate({*plain, *plain_others})}
    same = np.array([known[text] for text in plain]), np.array([known[t] for t in plain_others])
    return list(_closest(vectors[: len(plain)], vectors[len(plain) :], *same, second is None))


def _closest(
    vectors: csr_matrix,
    others: csr_matrix,
    texts: np.ndarray,
    other_texts: np.ndarray,
    earlier_only: bool,
) -> Iterator[tuple[int, int, float]]:
    """Yield each text with the most similar other one, if that is near.

    Args:
        vectors: (texts, runs), rows of length 1.
        others: (other texts, runs), likewise.
        texts: (texts,) which text each is; equal ones are no pair.
        other_texts: (other texts,) likewise.
        earlier_only: Compare each text with those before it, as both lists are one.
    """
    for start in range(0, vectors.shape[0], _ROWS):
        block = slice(start, min(start + _ROWS, vectors.shape[0]))
        cosines = (vectors[block] @ others.T).toarray()
        cosines[texts[block, None] == other_texts] = 0
        if earlier_only:
            cosines = np.tril(cosines, start - 1)
        nearest = cosines.argmax(1)
        for i, j in enumerate(nearest):
            if cosines[i, j] >= NEAR_FROM:
                yield start + i, int(j), round(min(float(cosines[i, j]), 1.0), 3)
