"""The linguistic score: fluency and vocabulary richness as one number."""

from typing import Any

import numpy as np
from scipy.stats import hmean

from relearn.evaluation.metrics.base import combined_metric, exact_mean
from relearn.evaluation.metrics.language import (
    brunet_index,
    honore_statistic,
    perplexity,
    plain_perplexity,
)


def linguistic_score(perplexity: Any, brunet_index: Any, honore_statistic: Any) -> Any:
    """Return the harmonic mean of three sigmoids, 0 to 1; 0 where one of them is.

    LS = HM(sigmoid(-ln PPL), sigmoid(-ln Brunet), sigmoid(ln Honoré)), on the means over a set,
    numbers or arrays of one shape. Source: arXiv 2502.11190. sigmoid(ln x) = x / (1 + x).
    """
    parts = np.broadcast_arrays(
        1 / (1 + np.asarray(perplexity)),
        1 / (1 + np.asarray(brunet_index)),
        honore_statistic / (1 + np.asarray(honore_statistic)),
    )
    return hmean(parts, axis=0)


@combined_metric(
    "ls",
    label="LS, linguistic score",
    mean=exact_mean,
    higher_is_better=True,
    of=(perplexity, brunet_index, honore_statistic),
)
def ls(perplexity: Any, brunet_index: Any, honore_statistic: Any) -> Any:
    """Fluency and richness: harmonic mean of squashed perplexity, Brunet's and Honoré's means.

    Compare it between models: small values are usual. Perplexity is in the prompt format.

    Source: ReLearn, arXiv 2502.11190
    """
    return linguistic_score(perplexity, brunet_index, honore_statistic)


@combined_metric(
    "plain_ls",
    label="LS, with perplexity as plain text",
    mean=exact_mean,
    higher_is_better=True,
    of=(plain_perplexity, brunet_index, honore_statistic),
)
def plain_ls(plain_perplexity: Any, brunet_index: Any, honore_statistic: Any) -> Any:
    """LS with the perplexity of plain text, as in the paper's code.

    Source: ReLearn, arXiv 2502.11190
    """
    return linguistic_score(plain_perplexity, brunet_index, honore_statistic)
