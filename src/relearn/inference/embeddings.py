"""How alike texts are: cosine of sentence embeddings."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cache

import numpy as np
from sentence_transformers import SentenceTransformer

from relearn.models.loading import load_errors, model_folder


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
        distinct = sorted(set(texts))
        if distinct:
            embeddings = self._model.encode(
                distinct, batch_size=64, normalize_embeddings=True, show_progress_bar=False
            )
            self._known |= dict(zip(distinct, embeddings, strict=True))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return (texts, dimension) embeddings of length 1; what is known is not embedded again."""
        self.know(set(texts) - self._known.keys())
        return np.array([self._known[text] for text in texts])

    def similarities(self, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Return the (pairs,) cosine of each pair, -1 to 1."""
        self.know([*first, *second])
        cosines = np.einsum("ij,ij->i", self.embed(first), self.embed(second))
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
