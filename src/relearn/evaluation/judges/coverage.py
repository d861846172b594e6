"""How many of a reference's entities an answer names."""

from collections.abc import Mapping, Sequence

import numpy as np

from relearn.inference.embeddings import Embedder
from relearn.text.numbers import in_figures
from relearn.text.words import folded, latin_share

# At this cosine two entities count as the same: the paper's, which took it of all-MiniLM-L12-v2.
SAME_ENTITY = 0.8
# Our default is the smaller all-MiniLM-L6-v2, whose cosines are lower: on the entities in the
# paper's record this bound yields the recorded number of matches on 100 of 109 rows, 0.8 on 79.
SAME_ENTITY_OF = {"minilm": 0.65}


def same_entity(model: Embedder) -> float:
    """Return the cosine of `model` from which on two entities count as the same."""
    return SAME_ENTITY_OF.get(model.name, SAME_ENTITY)


def entity_coverage(
    reference: Sequence[str],
    generation: Sequence[str],
    model: Embedder,
    known: Mapping[str, bool] | None = None,
) -> float:
    """Return the share of reference entities that some generated entity matches, 0 to 1.

    Two entities match at a cosine of `same_entity` or more (arXiv 2502.11190); numbers, which
    embeddings hardly tell apart, where they are the same; so are entities in scripts that the
    default embeddings can't read. Where either side has none the coverage
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
        alike = model.embed(reference) @ model.embed(generation).T >= same_entity(model)
        numbers, others = ([_number(entity) for entity in side] for side in (reference, generation))
        for i, number in enumerate(numbers):
            if number:
                alike[i] = [other == number for other in others]
            elif model.name in SAME_ENTITY_OF and not latin_share(reference[i]):
                alike[i] = [other == reference[i] for other in generation]
        matched = alike.any(axis=1)
    found = [known.get(e, m) for e, m in zip(reference, matched.tolist(), strict=True)]
    return sum(found) / len(found)


def _number(entity: str) -> str:
    """Return an entity that holds digits, or a number in words, in figures; "" for any other."""
    figures = in_figures(folded(entity))
    held = any(map(str.isdigit, figures))
    return "".join(filter(str.isalnum, figures)) if held else ""
