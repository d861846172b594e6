"""Similarity of meaning."""

from relearn.evaluation.metrics.base import RECALLED, metric
from relearn.evaluation.rows import EvaluatedRow


@metric(
    "embedding_similarity",
    label="Embedding similarity",
    range=(-1, 1),
    higher_is_better=RECALLED,
    needs=("embedding_similarity",),
)
def embedding_similarity(row: EvaluatedRow) -> float | None:
    """Similarity of meaning: cosine of the sentence embeddings of answer and reference.

    The embedding model is the setting `evaluation.similarity`.

    Source: Reimers and Gurevych 2019, Sentence-BERT, arXiv 1908.10084
    """
    return row.embedding_similarity
