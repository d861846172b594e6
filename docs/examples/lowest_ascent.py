"""An objective: gradient ascent on the least certain tokens only."""

from typing import Annotated

from pydantic import Field

from relearn.objectives import Term, TokenStatistics, objective


@objective("lowest_ascent", regularizer="kl")
def lowest_ascent(
    stats: TokenStatistics, share: Annotated[float, Field(gt=0, le=1)] = 0.5
) -> list[Term]:
    """Gradient ascent on the forget tokens with the lowest probability.

    Args:
        stats: Of the batch.
        share: Share of the forget tokens that are used.
    """
    log_probs = stats.log_probs[stats.forget_tokens]
    lowest = log_probs.sort().values[: max(1, int(share * len(log_probs)))]
    return [Term("forget_log_prob", lowest, "forget_tokens")]
