"""How sure a figure is: bootstrap intervals, and paired tests between two models."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, binomtest, bootstrap

from relearn.evaluation.metrics import METRICS
from relearn.evaluation.metrics.base import JointMetric, Metric
from relearn.evaluation.rows import RowSets

Array = NDArray[np.float64]
FlatRow = Mapping[str, Any]
Members = TypeVar("Members", bound=tuple[FlatRow, ...])

CONFIDENCE = 0.95
RESAMPLES = 2000
JOINT_RESAMPLES = 500  # each computes a joint metric again
PERMUTATIONS = 9999
_SEED = 0
_TOGETHER = 1 << 22  # numbers drawn together, which bounds the memory
_MOST_OF_BCA = 5_000


def intervals(
    sets: RowSets,
    values: Mapping[str, float],
    metrics: Mapping[str, Metric | JointMetric] = METRICS,
) -> dict[str, dict[str, float]]:
    """Return a 95 % bootstrap interval of every value that rows make.

    Rows are resampled within their sets, with a fixed seed; bias-corrected and accelerated
    (Efron 1987), for joint metrics plain percentiles, and for more than 5,000 rows, where the two
    hardly differ and the correction takes quadratic time. A model is not trained again: the
    interval says how the figure depends on the questions that were asked.

    Args:
        sets: The scored rows by set.
        values: Values by full name, as `scoring.score` returns them.
        metrics: By name, with the options that made the values.

    Returns:
        By full name `value`, `low`, `high` and `rows`, the number of rows. What is made of values
        and not of rows, such as general ability, has none.
    """
    found = {}
    scores = {name: [(row.scores,) for row in rows] for name, rows in sets.items()}
    for key, value in values.items():
        set_name, _, name = key.partition("/")
        metric = metrics.get(name)
        if isinstance(metric, Metric) and set_name in sets:
            scored = _scored(scores[set_name], metric)
            columns = _columns([row for (row,) in scored], metric)
            low, high = interval(columns, metric.combine) if scored else (value, value)
            count = len(scored or sets[set_name])
        elif isinstance(metric, JointMetric) and metric.needs:
            low, high = _joint_interval(metric, sets)
            count = sum(len(sets[used]) for used in metric.needs)
        else:
            continue
        found[key] = {"value": value, "low": low, "high": high, "rows": count}
    return found


def interval(
    columns: Sequence[Array], combine: Callable[..., Any] | None = None
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean, or of a combination of means.

    Args:
        columns: One or more (rows,) arrays, resampled together.
        combine: Makes the value from the columns' means; None for the mean of the one column.
    """

    def value(*resampled: Array, axis: int) -> Any:
        means = [column.mean(axis) for column in resampled]
        return combine(*means) if combine else means[0]

    if len(columns[0]) < 2 or all(np.ptp(column) == 0 for column in columns):
        alone = float(value(*columns, axis=0))
        return alone, alone
    options = {} if len(columns[0]) <= _MOST_OF_BCA else {"method": "percentile"}
    return _bootstrapped(
        columns, value, paired=True, vectorized=True, n_resamples=RESAMPLES, **options
    )


def _joint_interval(metric: JointMetric, sets: RowSets) -> tuple[float, float]:
    names = list(metric.needs)

    def value(*chosen: NDArray[np.int64]) -> float:
        resampled = {
            name: [sets[name][i] for i in indices]
            for name, indices in zip(names, chosen, strict=True)
        }
        return metric.compute({**sets, **resampled}, {})

    if any(len(sets[name]) < 2 for name in names):
        alone = metric.compute(sets, {})
        return alone, alone
    return _bootstrapped(
        [np.arange(len(sets[name])) for name in names],
        value,
        vectorized=False,
        n_resamples=JOINT_RESAMPLES,
        method="percentile",
    )


def _bootstrapped(
    data: Sequence[NDArray[Any]], value: Callable[..., Any], **options: Any
) -> tuple[float, float]:
    batch = max(1, _TOGETHER // max(map(len, data)))
    given = {"confidence_level": CONFIDENCE, "batch": batch, "method": "BCa"} | options
    # Where few rows differ, BCa divides 0 by 0; that is seen in its result and needs no warning.
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = bootstrap(data, value, rng=_SEED, **given)
        if np.isnan(result.confidence_interval).any():
            given["method"] = "percentile"
            result = bootstrap(data, value, rng=_SEED, **given)
    low, high = result.confidence_interval
    return float(low), float(high)


def paired_tests(first: Sequence[FlatRow], second: Sequence[FlatRow]) -> dict[str, dict[str, Any]]:
    """Test every metric's difference between two models that were asked the same questions.

    Labels (0 or 1) by McNemar's exact test, scores by a paired permutation test of the difference
    of the values, both two-sided. Rows are paired by set, id and question; metrics of one row's
    scores only. The p-values are not corrected for the number of metrics.

    Args:
        first: Rows of one model, as in its `rows.jsonl`.
        second: Rows of the other.

    Returns:
        By full metric name `first`, `second`, `difference` (second less first), `p_value`, `test`
        and `rows`, the number of pairs.
    """
    partners = {_identity(row): row for row in second}
    pairs: dict[str, list[tuple[FlatRow, FlatRow]]] = {}
    for row in first:
        if (partner := partners.get(_identity(row))) is not None:
            pairs.setdefault(row["set"], []).append((row, partner))
    found = {}
    for set_name, members in sorted(pairs.items()):
        for name, metric in METRICS.items():
            if not isinstance(metric, Metric):
                continue
            if scored := _scored(members, metric):
                before, after = (_columns(side, metric) for side in zip(*scored, strict=True))
                found[f"{set_name}/{name}"] = _test(before, after, metric.combine)
    return found


def _identity(row: FlatRow) -> tuple[Any, ...]:
    return row["set"], row.get("id"), row["question"]


def _scored(members: Sequence[Members], metric: Metric) -> list[Members]:
    """Return the rows, or pairs of rows, that have every score of a metric.

    If some lack one it is none, unless the metric leaves out rows that can't be measured.
    """
    scored = [
        rows
        for rows in members
        if all(row.get(c) is not None for row in rows for c in metric.columns)
    ]
    return scored if metric.leaves_out or len(scored) == len(members) else []


def _columns(rows: Sequence[FlatRow], metric: Metric) -> list[Array]:
    """Return the columns that make the metric's value."""
    return [np.array([row[name] for row in rows], dtype=float) for name in metric.columns]


def _test(
    before: Sequence[Array], after: Sequence[Array], combine: Callable[..., Any] | None
) -> dict[str, Any]:
    def value(columns: Sequence[Array]) -> float:
        means = [column.mean() for column in columns]
        return float(combine(*means) if combine else means[0])

    labels = combine is None and set(np.unique([*before, *after])) <= {0.0, 1.0}
    test = mcnemar(before[0], after[0]) if labels else permutation(before, after, combine)
    return {
        "first": value(before),
        "second": value(after),
        "difference": value(after) - value(before),
        "p_value": test,
        "test": "McNemar, exact" if labels else "paired permutation",
        "rows": len(before[0]),
    }


def mcnemar(before: Array, after: Array) -> float:
    """Return the two-sided p-value of McNemar's exact test on paired labels, each 0 or 1.

    Source: McNemar 1947, with the binomial distribution of the pairs that differ
    """
    gained = int(((before == 0) & (after == 1)).sum())
    lost = int(((before == 1) & (after == 0)).sum())
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def permutation(
    before: Sequence[Array],
    after: Sequence[Array],
    combine: Callable[..., Any] | None = None,
) -> float:
    """Return the two-sided p-value of a paired permutation test of a difference of values.

    The two sides of each pair are exchanged at random, in all columns together: what
    `scipy.stats.permutation_test` does for one column.

    Args:
        before: One or more (rows,) columns of one side.
        after: The same of the other.
        combine: Makes the value from the columns' means; None for the mean of the one column.
    """
    combine = combine or (lambda mean: mean)
    rng = np.random.default_rng(_SEED)
    count = len(before[0])
    gaps = np.stack(after, axis=1) - np.stack(before, axis=1)  # (rows, columns)
    means = [np.mean(columns, axis=1) for columns in (before, after)]
    observed = abs(combine(*means[1]) - combine(*means[0]))
    extreme = 0
    together = max(1, _TOGETHER // count)
    for start in range(0, PERMUTATIONS, together):
        exchanged = rng.random((min(together, PERMUTATIONS - start), count)) < 0.5
        moved = (exchanged @ gaps / count).T  # (columns, permutations)
        differences = combine(*(means[1][:, None] - moved)) - combine(*(means[0][:, None] + moved))
        # As much as observed, but for rounding.
        extreme += int((np.abs(differences) >= observed * (1 - 1e-9) - 1e-12).sum())
    return (extreme + 1) / (PERMUTATIONS + 1)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share observed on `count` rows, count >= 1.

    Source: Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference
    """
    z = 1.959964
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
