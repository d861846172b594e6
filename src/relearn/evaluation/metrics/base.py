"""What a metric is: a score for each row, how the scores make a value, and how to read it.

One decorator says all of it. The first line of the function's docstring is the metric's description
in reports, in `relearn list metrics` and in docs/metrics.md; `Source:` names the paper.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import yaml

from relearn.base.docstrings import source, summary
from relearn.base.errors import UserError
from relearn.base.options import Options
from relearn.base.registry import Registry
from relearn.evaluation.rows import EvaluatedRow, Rows, RowSets

Score = Callable[[EvaluatedRow], float | None]
"""From a row to its score; None leaves the row out of the value, as not measured."""

SetSide = Literal["forget", "retain"]
Direction = Literal["higher", "lower"]

RECALLED: Mapping[SetSide, bool] = {"forget": False, "retain": True}
"""For `higher_is_better`: a metric of how much is still known, which should fall on forget sets."""


def mean(scores: Sequence[float]) -> float:
    """Return the mean of scores."""
    return sum(scores) / len(scores)


def exact_mean(scores: Sequence[float]) -> float:
    """Return the mean of scores, their sum rounded only once."""
    return math.fsum(scores) / len(scores)


class NotComputed(Exception):  # noqa: N818
    """A metric that has no value on these rows; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """How a figure is to be read.

    Attributes:
        label: Its name for readers.
        range: The lowest and the highest value it can take.
        higher_is_better: Whether higher is better, on every set or by the kind of set; where it
            says nothing, neither way is better in itself.
        text: What it is, in one line.
    """

    label: str
    range: tuple[float, float] = (0, 1)
    higher_is_better: bool | Mapping[SetSide, bool] | None = None
    text: str = ""

    @property
    def values(self) -> str:
        """The range in words: `0 to 1`, `1 and up`."""
        low, high = self.range
        return f"{low:,} and up" if high == math.inf else f"{low:,} to {high:,}"

    @property
    def good(self) -> str:
        """Which way is better on forget and on retain sets: `lower / higher`, `higher`, `-`."""
        forget, retain = (self.direction(name) or "-" for name in ("forget", "retain"))
        return forget if forget == retain else f"{forget} / {retain}"

    def direction(self, set_name: str) -> Direction | None:
        """Return which way is better on the set `set_name`; None where neither is."""
        better = self.higher_is_better
        if isinstance(better, Mapping):
            better = better.get("forget" if set_name.startswith("forget") else "retain")
        return None if better is None else "higher" if better else "lower"


@dataclass(frozen=True, kw_only=True)
class _Documented(Figure):
    """A figure that a function makes.

    Attributes:
        function: The decorated one, whose docstring describes the figure.
    """

    function: Callable[..., Any]

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.function.__doc__

    @property
    def group(self) -> str:
        """The module that defines the metric, such as `rouge`: metrics that belong together."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def source(self) -> str:
        """The paper it is from."""
        return source(self.function.__doc__)


@dataclass(frozen=True, kw_only=True)
class Metric(_Documented):
    """A figure of one set: the mean of its rows' scores, or a function of several such means.

    Attributes:
        columns: Row scores whose means make the value: by the name under which a row keeps it,
            what computes it.
        combine: The value from these means, numbers or arrays of one shape; None where the value
            is the mean of one column.
        mean: How the mean is summed: `mean`, or `exact_mean` for scores of very different sizes.
        needs: Fields of a row that must be filled; a suite makes the passes that fill them.
        sets: Kind of set that it is about.
        leaves_out: Whether rows that can't be measured are left out: they have no score, and their
            number is reported as `NAME_unmeasured`.
    """

    columns: Mapping[str, Score]
    combine: Callable[..., Any] | None = None
    mean: Callable[[Sequence[float]], float] = mean
    needs: tuple[str, ...] = ()
    sets: Literal["forget", "retain", "all"] = "all"
    leaves_out: bool = False

    def compute(self, rows: Rows) -> float:
        """Return the value on the rows of one set; every row keeps its scores in `row.scores`.

        Raises:
            NotComputed: no row could be measured.
        """
        scores = [row_scores(rows, name, score) for name, score in self.columns.items()]
        if not all(scores):
            raise NotComputed("no answer of the set could be measured")
        means = [self.mean(column) for column in scores]
        return float(self.combine(*means)) if self.combine else means[0]

    def is_about(self, rows: Rows) -> bool:
        """Return whether the metric is about sets of this kind; none is about a holdout alone."""
        return self.sets in (rows[0].kind, "all") and rows[0].kind != "holdout"

    def applies(self, rows: Rows) -> bool:
        """Return whether the metric is about rows of this set and has what it needs."""
        return self.is_about(rows) and not lacking_fields(rows, self.needs)


@dataclass(frozen=True, kw_only=True)
class JointMetric(_Documented):
    """A figure of several sets together, called `overall/NAME`.

    Attributes:
        compute: Returns the value from the rows by set and the values known before. A set of the
            retain model, one that never saw the forget set, is called `retain_model/SET`.
        needs: Fields of a row that must be filled, by set; all these sets are needed.
        needs_values: Values computed before that the metric is made of, by their full names.
        options: What it can be configured with; None for nothing.
    """

    compute: Callable[..., float]
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs_values: tuple[str, ...] = ()
    options: Options | None = None

    def lacks(self, sets: RowSets, values: Mapping[str, float]) -> str:
        """Return what the metric needs and there is not, as a hint; "" if there is all."""
        for name, fields in self.needs.items():
            if name not in sets and name.startswith("retain_model/"):
                return "needs a retain model: --set evaluation.retain_model=MODEL"
            if name not in sets:
                return f"needs a {name} set: --data {name}=FILE, or in a run data.{name}"
            if reason := lacking_fields(sets[name], fields):
                return f"{name}: {reason}"
        missing = [name for name in self.needs_values if name not in values]
        return f"needs {' and '.join(missing)}" if missing else ""

    def applies(self, sets: RowSets, values: Mapping[str, float]) -> bool:
        """Return whether there is what the metric needs."""
        return not self.lacks(sets, values)


METRICS: Registry[Metric | JointMetric] = Registry("metric")


def metric(
    name: str, *, column: str = "", **declarations: Any
) -> Callable[[Callable[[EvaluatedRow], float | None]], Metric]:
    """Return a decorator that registers a function from a row to its score as the metric `name`.

    Args:
        name: In suites and results.
        column: Under which a row keeps its score; the metric's name by default.
        **declarations: The fields of `Metric` and `Figure`: `label`, `range`, `higher_is_better`,
            `needs` …
    """

    def register(score: Score) -> Metric:
        return _registered(
            name, Metric(columns={column or name: score}, **_described(score), **declarations)
        )

    return register


def combined_metric(
    name: str, *, of: Sequence[Metric], **declarations: Any
) -> Callable[[Callable[..., Any]], Metric]:
    """Return a decorator that registers a function of other metrics' values as the metric `name`.

    Args:
        name: In suites and results.
        of: Metrics of one column each; the function gets their values, numbers or arrays.
        **declarations: The fields of `Figure`.
    """

    def register(combine: Callable[..., Any]) -> Metric:
        columns = {column: score for part in of for column, score in part.columns.items()}
        needs = tuple(dict.fromkeys(name for part in of for name in part.needs))
        described = _described(combine) | declarations
        return _registered(name, Metric(columns=columns, combine=combine, needs=needs, **described))

    return register


def _described(function: Callable[..., Any]) -> dict[str, Any]:
    return {"function": function, "text": summary(function.__doc__)}


def _registered(name: str, made: Metric) -> Metric:
    if unknown := set(made.needs) - set(EvaluatedRow.model_fields):
        raise ValueError(f"metric {name}: a row has no field {', '.join(sorted(unknown))}")
    METRICS.register(name)(made)
    return made


def joint_metric(
    name: str, *, options: Options | None = None, **declarations: Any
) -> Callable[[Callable[..., float]], JointMetric]:
    """Return a decorator that registers a joint metric; fields as in `JointMetric`."""

    def register(compute: Callable[..., float]) -> JointMetric:
        made = JointMetric(compute=compute, options=options, **_described(compute), **declarations)
        METRICS.register(name)(made)
        return made

    return register


_WITH_OPTIONS = re.compile(r"(\w+)\((\w+)=([^()=]+)\)")


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
    if not isinstance(made, JointMetric) or not made.options:
        raise UserError(f"metric {given}: it has no option {option!r}.", "It takes none.")
    try:
        chosen = {option: yaml.safe_load(value)}
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"metric {given}: {value!r} is no value.", "Give a number.") from error
    made.options.check(chosen)
    return replace(made, compute=partial(made.compute, **chosen))


def lacking_fields(rows: Rows, fields: Sequence[str]) -> str:
    """Return which field is missing in how many rows; "" if none is."""
    for name in fields:
        if count := sum(getattr(row, name) is None for row in rows):
            return f"{count} of {len(rows)} rows have no {_FIELDS.get(name, name)}"
    return ""


_FIELDS = {
    "paraphrased_loss": "wrong answers",
    "wrong_losses": "wrong answers",
    "choice_log_probs": "choices",
}


def row_scores(rows: Rows, name: str, score: Score) -> list[float]:
    """Return the rows' scores under `name`, computed where they are not known yet.

    A row that can't be measured is left out.
    """
    for row in rows:
        if name not in row.scores and (found := score(row)) is not None:
            row.scores[name] = found
    return [row.scores[name] for row in rows if name in row.scores]
