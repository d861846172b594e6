"""Sentence embeddings."""

import numpy as np
import pytest

from relearn.inference import embeddings
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


def test_many_pairs_are_compared_in_parts_and_none_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = [f"Li Wei has {i} cats." for i in range(7)]
    second = [f"There are {i} dogs." for i in range(7)]
    model = Embedder("minilm")
    expected = np.einsum("ij,ij->i", model.embed(first), model.embed(second))
    monkeypatch.setattr(embeddings, "_PAIRS", 3)
    embedded = Embedder("minilm")
    assert embedded.similarities(first, second) == pytest.approx(expected, abs=1e-5)
    assert embedded.similarities([], []).shape == (0,)
    assert not embedded._known
