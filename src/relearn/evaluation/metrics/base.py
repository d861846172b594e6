"""What a metric is: a function from evaluated rows to a value and row scores."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from relearn.evaluation.rows import EvaluatedRow, Rows, RowSets
from relearn.registry import Registry


@dataclass(frozen=True)
class Metric:
    """A figure of one set.

    Attributes:
        compute: Fills `row.scores` and returns the set's value.
        needs: Fields of a row that must be filled; a suite makes the passes that fill them.
        sets: Kind of set that it is about.
        columns: Row scores whose means make the value.
        combine: The value, from these means; None where the value is the mean of one column.
    """

    compute: Callable[[Rows], float]
    needs: tuple[str, ...] = ()
    sets: Literal["forget", "retain", "all"] = "all"
    columns: tuple[str, ...] = ()
    combine: Callable[..., Any] | None = None

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.compute.__doc__

    def is_about(self, rows: Rows) -> bool:
        """Return whether the metric is about sets of this kind; none is about a holdout alone."""
        return self.sets in (rows[0].kind, "all") and rows[0].kind != "holdout"

    def applies(self, rows: Rows) -> bool:
        """Return whether the metric is about rows of this set and has what it needs."""
        return self.is_about(rows) and has_fields(rows, self.needs)


@dataclass(frozen=True)
class JointMetric:
    """A figure of several sets together, called `overall/NAME`.

    Attributes:
        compute: Returns the value from the rows by set. A set of the retain model, one that never
            saw the forget set, is called `retain_model/SET`.
        needs: Fields of a row that must be filled, by set; all these sets are needed.
        values: Values computed before that the metric is made of, by their full names.
    """

    compute: Callable[[RowSets, Mapping[str, float]], float]
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: tuple[str, ...] = ()

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.compute.__doc__

    def applies(self, sets: RowSets, values: Mapping[str, float]) -> bool:
        """Return whether there is what the metric needs."""
        return all(
            name in sets and has_fields(sets[name], fields) for name, fields in self.needs.items()
        ) and all(name in values for name in self.values)


METRICS: Registry[Metric | JointMetric] = Registry("metric")


def has_fields(rows: Rows, fields: Sequence[str]) -> bool:
    """Return whether every row has a value in every field."""
    return all(getattr(row, name) is not None for row in rows for name in fields)


def metric(
    name: str,
    needs: tuple[str, ...] = (),
    sets: Literal["forget", "retain", "all"] = "all",
    columns: tuple[str, ...] = (),
    combine: Callable[..., Any] | None = None,
) -> Callable[[Callable[[Rows], float]], Metric]:
    """Return a decorator that registers a function as the metric `name`; fields as in `Metric`.

    Without `columns` the value is the mean of the row scores called `name`.
    """

    def register(compute: Callable[[Rows], float]) -> Metric:
        made = Metric(compute, needs, sets, columns or (name,), combine)
        METRICS.register(name)(made)
        return made

    return register


def joint_metric(
    name: str, needs: Mapping[str, tuple[str, ...]], values: tuple[str, ...] = ()
) -> Callable[[Callable[[RowSets, Mapping[str, float]], float]], JointMetric]:
    """Return a decorator that registers a joint metric; fields as in `JointMetric`."""

    def register(compute: Callable[[RowSets, Mapping[str, float]], float]) -> JointMetric:
        made = JointMetric(compute, needs, values)
        METRICS.register(name)(made)
        return made

    return register


def keep_scores(rows: Rows, name: str, scores: Sequence[float]) -> float:
    """Note each row's score under `name` and return their mean."""
    for row, score in zip(rows, scores, strict=True):
        row.scores[name] = score
    return math.fsum(scores) / len(scores)


def row_scores(rows: Rows, name: str, score: Callable[[EvaluatedRow], float]) -> list[float]:
    """Return each row's score under `name`, computed where it is not known yet."""
    for row in rows:
        if name not in row.scores:
            row.scores[name] = score(row)
    return [row.scores[name] for row in rows]
