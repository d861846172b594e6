"""What a metric is: a function from evaluated rows to a value and row scores."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from relearn.base.errors import UserError
from relearn.base.registry import Registry
from relearn.evaluation.rows import EvaluatedRow, Rows, RowSets


class NotComputed(Exception):  # noqa: N818
    """A metric that has no value on these rows; the message says why."""


@dataclass(frozen=True)
class Metric:
    """A figure of one set.

    Attributes:
        compute: Fills `row.scores` and returns the set's value.
        needs: Fields of a row that must be filled; a suite makes the passes that fill them.
        sets: Kind of set that it is about.
        columns: Row scores whose means make the value.
        combine: The value, from these means; None where the value is the mean of one column.
        leaves_out: Whether rows that can't be measured are left out: they have no score, and their
            number is reported as `NAME_unmeasured`.
    """

    compute: Callable[[Rows], float]
    needs: tuple[str, ...] = ()
    sets: Literal["forget", "retain", "all"] = "all"
    columns: tuple[str, ...] = ()
    combine: Callable[..., Any] | None = None
    leaves_out: bool = False

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
        options: Names of the options that `compute` takes, each a share above 0 up to 1.
    """

    compute: Callable[..., float]
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.compute.__doc__

    def lacks(self, sets: RowSets, values: Mapping[str, float]) -> str:
        """Return what the metric needs and there is not, as a hint; "" if there is all."""
        for name, fields in self.needs.items():
            if name not in sets and name.startswith("retain_model/"):
                return "needs the results of a retain model: --retain-model DIR"
            if name not in sets:
                return f"needs a {name} set: --data {name}=FILE"
            if reason := lacking_fields(sets[name], fields):
                return f"{name}: {reason}"
        missing = [name for name in self.values if name not in values]
        return f"needs {' and '.join(missing)}" if missing else ""

    def applies(self, sets: RowSets, values: Mapping[str, float]) -> bool:
        """Return whether there is what the metric needs."""
        return not self.lacks(sets, values)


METRICS: Registry[Metric | JointMetric] = Registry("metric")


_WITH_OPTIONS = re.compile(r"(\w+)\((\w+)=([\d.]+)\)")


def chosen_metrics(names: Iterable[str]) -> dict[str, Metric | JointMetric]:
    """Return metrics by name; one that takes an option may have it as `mia_min_k_auc(k=0.4)`.

    Raises:
        UserError: there is no such metric, it takes no such option, or two differ in it only.
    """
    chosen: dict[str, Metric | JointMetric] = {}
    for given in names:
        match = _WITH_OPTIONS.fullmatch(given)
        name = match[1] if match else given
        made = METRICS.named(name)
        if match:
            made = _with_option(made, given, match[2], match[3])
        if name in chosen:
            raise UserError(f"metric {name} is chosen twice.", "Choose one of them.")
        chosen[name] = made
    return chosen


def _with_option(
    made: Metric | JointMetric, given: str, option: str, value: str
) -> Metric | JointMetric:
    known = made.options if isinstance(made, JointMetric) else ()
    if option not in known or not isinstance(made, JointMetric):
        raise UserError(
            f"metric {given}: it has no option {option!r}.", f"Known: {', '.join(known) or 'none'}."
        )
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UserError(f"metric {given}: {option} is no share.", "Give a number above 0, up to 1.")
    return replace(made, compute=partial(made.compute, **{option: share}))


def has_fields(rows: Rows, fields: Sequence[str]) -> bool:
    """Return whether every row has a value in every field."""
    return all(getattr(row, name) is not None for row in rows for name in fields)


def lacking_fields(rows: Rows, fields: Sequence[str]) -> str:
    """Return which field is missing in how many rows; "" if none is."""
    for name in fields:
        if count := sum(getattr(row, name) is None for row in rows):
            return f"{count} of {len(rows)} rows have no {_FIELDS.get(name, name)}"
    return ""


_FIELDS = {"paraphrased_loss": "wrong answers", "wrong_losses": "wrong answers"}


def metric(
    name: str,
    needs: tuple[str, ...] = (),
    sets: Literal["forget", "retain", "all"] = "all",
    columns: tuple[str, ...] = (),
    combine: Callable[..., Any] | None = None,
    leaves_out: bool = False,
) -> Callable[[Callable[[Rows], float]], Metric]:
    """Return a decorator that registers a function as the metric `name`; fields as in `Metric`.

    Without `columns` the value is the mean of the row scores called `name`.
    """

    def register(compute: Callable[[Rows], float]) -> Metric:
        made = Metric(compute, needs, sets, columns or (name,), combine, leaves_out)
        METRICS.register(name)(made)
        return made

    return register


def joint_metric(
    name: str,
    needs: Mapping[str, tuple[str, ...]],
    values: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
) -> Callable[[Callable[..., float]], JointMetric]:
    """Return a decorator that registers a joint metric; fields as in `JointMetric`."""

    def register(compute: Callable[..., float]) -> JointMetric:
        made = JointMetric(compute, needs, values, options)
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
