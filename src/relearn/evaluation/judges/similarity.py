"""How alike texts are: cosine of sentence embeddings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
from sentence_transformers import SentenceTransformer

from relearn.base.errors import UserError
from relearn.models.loading import model_folder
from relearn.text.numbers import in_figures
from relearn.text.words import folded

# At this cosine two entities count as the same: the paper's, which took it of all-MiniLM-L12-v2.
SAME_ENTITY = 0.8
# Our default is the smaller all-MiniLM-L6-v2, whose cosines are lower: on the entities in the
# paper's record this bound yields the recorded number of matches on 100 of 109 rows, 0.8 on 79.
SAME_ENTITY_OF = {"minilm": 0.65}


class Embedder:
    """Sentence embeddings, each distinct text of a call embedded once.

    Args:
        name: An embedded model, a hub name or a local folder.

    Attributes:
        same_entity: Cosine from which on two entities count as the same.

    Raises:
        UserError: there is no such model.
    """

    def __init__(self, name: str) -> None:
        self.same_entity = SAME_ENTITY_OF.get(name, SAME_ENTITY)
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


@contextmanager
def _load_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (UserError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"sentence-embedding model {name!r} can't be loaded: {reason}",
            "Check evaluation.similarity.",
        ) from error


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


def entity_coverage(
    reference: Sequence[str],
    generation: Sequence[str],
    model: Embedder,
    known: Mapping[str, bool] | None = None,
) -> float:
    """Return the share of reference entities that some generated entity matches, 0 to 1.

    Two entities match at a cosine of `model.same_entity` or more (arXiv 2502.11190); numbers, which
    embeddings hardly tell apart, where they are the same. Where either side has none the coverage
    is 0. The paper's code counts matching *pairs* over the number of reference entities, so that
    two generated entities matching one reference entity count twice and its values go beyond 1
    (1.4 in its record); a share can't.

    Args:
        reference: Entities of the reference.
        generation: Of the answer.
        model: Compares them.
        known: Reference entities of which it is known whether the answer tells them, as parts of
            an identifier that it may write in another way.
    """
    if not reference:
        return 0.0
    known = known or {}
    matched = np.zeros(len(reference), dtype=bool)
    if generation:
        alike = model.embed(reference) @ model.embed(generation).T >= model.same_entity
        numbers, others = ([_number(entity) for entity in side] for side in (reference, generation))
        for i, number in enumerate(numbers):
            if number:
                alike[i] = [other == number for other in others]
        matched = alike.any(axis=1)
    found = [known.get(e, m) for e, m in zip(reference, matched.tolist(), strict=True)]
    return sum(found) / len(found)


def _number(entity: str) -> str:
    """Return an entity that holds digits, or a number in words, in figures; "" for any other."""
    figures = in_figures(folded(entity))
    held = any(map(str.isdigit, figures))
    return "".join(filter(str.isalnum, figures)) if held else ""
