"""Similarity of meaning."""

from relearn.evaluation.metrics.base import metric
from relearn.evaluation.rows import Rows


@metric("embedding_similarity", needs=("embedding_similarity",))
def embedding_similarity(rows: Rows) -> float:
    """Mean cosine of the sentence embeddings of answer and reference, -1 to 1.

    Source: Reimers and Gurevych 2019, Sentence-BERT (arXiv 1908.10084); the model is the
    configuration's `evaluation.similarity`.
    """
    found = [row.embedding_similarity for row in rows if row.embedding_similarity is not None]
    return sum(found) / len(found)
