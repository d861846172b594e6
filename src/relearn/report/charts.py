"""The charts of a run: what became of each model, what attacks got out, how training went."""

import math
from typing import Any

from relearn.chart import Chart
from relearn.report.results import ModelResults, RunResults

_RATES = {"forget/kfr": "KFR, forget", "retain/krr": "KRR, retain"}
_FLUENCY = {"forget/ls": "LS, forget", "retain/ls": "LS, retain"}

_NOT_PARTS = {"step", "epoch", "loss", "learning_rate", "grad_norm", "seconds"}
"""What a history row holds beside the objective's named parts."""


def charts(results: RunResults) -> list[Chart]:
    """Return the charts that there is data for."""
    drawn = [
        _trade_off(results.models),
        _bars(
            results.models, _RATES,
            Chart("rates", "outcome", "bars", "Forgotten and retained",
                  "Share of answers; higher is better.", span=[0, 1]),
        ),
        _bars(
            results.models, _FLUENCY,
            Chart("language", "outcome", "bars", "Language", "Linguistic score; higher is better."),
        ),
        *([_requests(results.sequence)] if len(results.sequence) > 1 else []),
        *_recovered(results),
        *(
            _training(model, place)
            for place, model in enumerate(results.models) if model.history
        ),
    ]  # fmt: skip
    return [chart for chart in drawn if chart.series]


def _trade_off(models: list[ModelResults]) -> Chart:
    """Forgetting against retention: ROUGE-L recall on the forget and on the retain set."""
    points = {
        model.key: [model.metrics.get(f"{name}/rougeL_recall") for name in ("forget", "retain")]
        for model in models
    }
    return Chart(
        "trade_off", "outcome", "points", "Forgetting against retention",
        "Top left is best; low loses what was to stay.",
        "ROUGE-L recall, forget set", "ROUGE-L recall, retain set", span=[0, 1],
        series={model: point for model, point in points.items() if None not in point},
    )  # fmt: skip


def _bars(models: list[ModelResults], metrics: dict[str, str], chart: Chart) -> Chart:
    """Fill in the models' `metrics`: label by flat key."""
    chart.x.extend(metrics.values())
    for model in models:
        values = [model.metrics.get(key) for key in metrics]
        if any(value is not None for value in values):
            chart.series[model.key] = values
    return chart


def _requests(sequence: list[dict[str, Any]]) -> Chart:
    """What stays forgotten of each deletion request, and what is kept, as requests follow.

    Args:
        sequence: See `relearn.earlier.sequence`.
    """
    numbers = list(range(1, len(sequence) + 1))
    lines = {
        f"forgotten of request {i}": [None] * (i - 1)
        + [run["kfr"][i - 1] for run in sequence[i - 1 :]]
        for i in numbers
    }
    lines["kept of the retain set"] = [run["krr"] for run in sequence]
    return Chart(
        "requests", "requests", "lines", "As requests follow",
        "Share of answers; higher is better.", "deletion requests so far", "share of answers",
        numbers, {k: v for k, v in lines.items() if any(each is not None for each in v)},
        span=[0, 1],
    )  # fmt: skip


def _recovered(results: RunResults) -> list[Chart]:
    """What each attack gets out of each model, point by point."""
    drawn = []
    curves = results.audit.curves if results.audit else {}
    for place, (attack, (along, by_model)) in enumerate(curves.items()):
        shares = {model: dict(curve) for model, curve in by_model.items()}
        points = list(dict.fromkeys(point for curve in shares.values() for point in curve))
        chart = Chart(
            f"recovery_{place}", "audit", "lines", f"Recovered by \u201c{attack}\u201d",
            "Share of the facts told; lower is better.", along, "share of facts told", points,
            {model: [curve.get(point) for point in points] for model, curve in shares.items()},
            span=[0, 1],
        )  # fmt: skip
        drawn.append(chart)
    return drawn


def _training(model: ModelResults, place: int) -> Chart:
    """The loss of one model and its objective's named parts, by optimizer step."""
    parts = dict.fromkeys(name for row in model.history for name in row if name not in _NOT_PARTS)
    curves = {name: [_finite(row.get(name)) for row in model.history] for name in ("loss", *parts)}
    return Chart(
        f"training_{place}", "training", "lines", model.label,
        f"{len(model.history):,} optimizer steps.", "optimizer step", "",
        [row["step"] for row in model.history],
        {name: curve for name, curve in curves.items() if any(v is not None for v in curve)},
    )  # fmt: skip


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
