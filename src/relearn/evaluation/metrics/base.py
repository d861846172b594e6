"""What a metric is: a function from the evaluated rows of one set to a value and row scores."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from relearn.evaluation.rows import Rows
from relearn.registry import Registry


@dataclass(frozen=True)
class Metric:
    """A figure of one set.

    Attributes:
        compute: Fills `row.scores` and returns the set's value.
        needs: Fields of a row that must be filled.
        sets: Kind of set that it is about.
    """

    compute: Callable[[Rows], float]
    needs: tuple[str, ...] = ()
    sets: Literal["forget", "retain", "all"] = "all"

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.compute.__doc__

    def applies(self, rows: Rows) -> bool:
        """Return whether the metric is about rows of this set and has what it needs."""
        kind = "forget" if rows[0].forgets else "retain"
        known = all(getattr(row, field) is not None for row in rows for field in self.needs)
        return self.sets in (kind, "all") and known


METRICS: Registry[Metric] = Registry("metric")


def metric(
    name: str,
    needs: tuple[str, ...] = (),
    sets: Literal["forget", "retain", "all"] = "all",
) -> Callable[[Callable[[Rows], float]], Metric]:
    """Return a decorator that registers a function as the metric `name`; fields as in `Metric`."""

    def register(compute: Callable[[Rows], float]) -> Metric:
        return METRICS.register(name)(Metric(compute, needs, sets))

    return register


def keep_scores(rows: Rows, name: str, scores: Sequence[float]) -> float:
    """Note each row's score under `name` and return their mean."""
    for row, score in zip(rows, scores, strict=True):
        row.scores[name] = score
    return math.fsum(scores) / len(scores)
