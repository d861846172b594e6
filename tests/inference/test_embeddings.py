"""Sentence embeddings."""

import numpy as np

from relearn.inference.embeddings import Embedder


def test_similarities_do_not_depend_on_what_was_embedded_before() -> None:
    """To the last digit: a resumed evaluation has embedded other texts than a whole one."""
    first = [f"Li Wei has {'very ' * (i % 9)}many cats, {i} in all." for i in range(40)]
    second = [f"There {'really ' * (i % 5)}are {i} dogs." for i in range(40)]
    model = Embedder("minilm")
    expected = model.similarities(first, second)
    other = Embedder("minilm")
    for text in first[::3]:
        other.embed([text])
    assert np.array_equal(other.similarities(first, second), expected)
