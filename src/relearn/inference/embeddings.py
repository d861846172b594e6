"""How alike texts are: cosine of sentence embeddings."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cache

import numpy as np
from sentence_transformers import SentenceTransformer

from relearn.models.loading import load_errors, model_folder

_PAIRS = 1024  # compared together, so that memory does not grow with their number


class Embedder:
    """Sentence embeddings, each distinct text of a call embedded once.

    Args:
        name: An embedded model, a hub name or a local folder.

    Attributes:
        name: As above.

    Raises:
        UserError: there is no such model.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        with _load_errors(name):
            self._model = SentenceTransformer(str(model_folder(name)))
        self._known: dict[str, np.ndarray] = {}

    def know(self, texts: Iterable[str]) -> None:
        """Embed texts together, whatever was embedded before, and keep the embeddings.

        The last digits of an embedding depend on the texts beside it in a batch. Were those of
        earlier calls reused, a resumed evaluation would differ from an uninterrupted one.
        """
        self._known |= self._embedded(texts)

    def _embedded(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        distinct = sorted(set(texts))
        if not distinct:
            return {}
        embeddings = self._model.encode(
            distinct, batch_size=64, normalize_embeddings=True, show_progress_bar=False
        )
        return dict(zip(distinct, embeddings, strict=True))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return (texts, dimension) embeddings of length 1; what is known is not embedded again."""
        self.know(set(texts) - self._known.keys())
        return np.array([self._known[text] for text in texts])

    def similarities(self, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Return the (pairs,) cosine of each pair, -1 to 1; no embedding is kept."""
        cosines = np.empty(len(first), np.float32)
        for start in range(0, len(first), _PAIRS):
            some = slice(start, start + _PAIRS)
            found = self._embedded([*first[some], *second[some]])
            a, b = ([found[text] for text in side[some]] for side in (first, second))
            cosines[some] = np.einsum("ij,ij->i", np.array(a), np.array(b))
        return cosines.clip(-1, 1)  # rounding goes beyond


def _load_errors(name: str) -> AbstractContextManager[None]:
    problem = f"sentence-embedding model {name!r} can't be loaded"
    return load_errors(problem, "Check evaluation.similarity.")


def check_embedder(name: str) -> None:
    """Find out whether there is an embedding model of that name, without loading it.

    Raises:
        UserError: there is none.
    """
    with _load_errors(name):
        model_folder(name)


@cache
def embedder(name: str) -> Embedder:
    """Return the embedder called `name`, loaded once."""
    return Embedder(name)
