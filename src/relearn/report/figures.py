"""The report's figures as Plotly figures; their colours for text and lines come from the page."""

import json
import math
from itertools import cycle
from typing import Any

import plotly.graph_objects as go

from relearn.config import CONTROLS
from relearn.report.results import ModelResults, RunResults, visible

# Legible on white and on near-black alike, and apart from each other for the colour-blind.
TARGET_COLOUR = "#858b97"
COLOURS = ("#1f8a70", "#d9822b", "#5b7fd6", "#c2569b", "#a08a1c", "#3fa0b8", "#b5533c")
DASHES = ("dot", "dash", "dashdot")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")

NOT_PARTS = {"step", "epoch", "loss", "learning_rate", "grad_norm", "seconds"}
"""What a history row holds beside the objective's named parts."""


def trade_off(results: RunResults) -> go.Figure | None:
    """Forgetting against retention: ROUGE-L recall on the forget and on the retain set."""
    figure = go.Figure()
    for model, style in _styled(results.models):
        x = model.metrics.get("forget/rougeL_recall")
        y = model.metrics.get("retain/rougeL_recall")
        if x is None or y is None:
            continue
        marker = {**style, "size": 15, "line": {"width": 1.5, "color": "rgba(255,255,255,0.7)"}}
        figure.add_scatter(
            x=[x], y=[y], mode="markers", name=plain(model.label), marker=marker,
            cliponaxis=False,
            hovertemplate="%{fullData.name}<br>forget %{x:.3f}, retain %{y:.3f}<extra></extra>",
        )  # fmt: skip
    figure.add_annotation(
        x=0, y=1, text="◤ ideal: forgets all, keeps all", showarrow=False,
        xanchor="left", yanchor="bottom", yshift=4,
    )  # fmt: skip
    figure.update_xaxes(title="ROUGE-L recall, forget set", range=[-0.03, 1.03])
    figure.update_yaxes(title="ROUGE-L recall, retain set", range=[-0.03, 1.06])
    return finish(figure, height=400)


def bars(results: RunResults, keys: dict[str, str], top: float | None = None) -> go.Figure | None:
    """One group of bars for each metric of `keys` (flat key to label), one bar a model.

    Args:
        results: The run.
        keys: The metrics.
        top: End of the value axis; None fits the values.
    """
    figure = go.Figure()
    for model, style in _styled(results.models):
        values = {label: model.metrics.get(key) for key, label in keys.items()}
        if all(value is None for value in values.values()):
            continue
        figure.add_bar(
            x=list(values), y=list(values.values()), name=plain(model.label),
            marker={"color": style["color"], "line": {"width": 0}},
            hovertemplate="%{fullData.name}: %{y:.3f}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.12)
    figure.update_yaxes(range=None if top is None else [0, top], rangemode="tozero")
    return finish(figure, height=400)


def training_curves(model: ModelResults) -> go.Figure | None:
    """The loss of one model and its objective's named parts, by optimizer step."""
    figure = go.Figure()
    steps = [row["step"] for row in model.history]
    parts = dict.fromkeys(name for row in model.history for name in row if name not in NOT_PARTS)
    for place, name in enumerate(["loss", *parts]):
        values = [_finite(row.get(name)) for row in model.history]
        colour = TARGET_COLOUR if name == "loss" else COLOURS[(place - 1) % len(COLOURS)]
        line = {"color": colour, "width": 2.5 if name == "loss" else 1.6}
        if any(value is not None for value in values):
            figure.add_scatter(
                x=steps, y=values, mode="lines" if len(steps) > 1 else "markers",
                name=plain(name), line=line,
            )  # fmt: skip
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title="optimizer step")
    return finish(figure, height=320)


def recovery(
    curves: dict[str, list[tuple[str, float]]], labels: dict[str, str], along: str
) -> go.Figure | None:
    """What an attack gets out of each model, point by point.

    Args:
        curves: By model the (name of the point, share of the facts told).
        labels: Of the models.
        along: What grows from point to point.
    """
    figure = go.Figure()
    controls, colours = iter(DASHES), cycle(COLOURS)
    for model, points in curves.items():
        dash = next(controls) if model in CONTROLS else "solid"
        colour = TARGET_COLOUR if model in CONTROLS else next(colours)
        if points:
            figure.add_scatter(
                x=[point for point, _ in points], y=[share for _, share in points],
                mode="lines+markers", name=plain(labels.get(model, model)),
                line={"color": colour, "width": 2, "dash": dash},
                hovertemplate="%{fullData.name}, %{x}: %{y:.0%}<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(title=along, type="category")
    figure.update_yaxes(title="share of facts told", range=[-0.03, 1.03])
    return finish(figure, height=380)


def requests(sequence: list[dict[str, Any]]) -> go.Figure | None:
    """What stays forgotten of each deletion request, and what is kept, as requests follow.

    Args:
        sequence: See `relearn.earlier.sequence`.
    """
    figure, numbers, colours = go.Figure(), list(range(1, len(sequence) + 1)), cycle(COLOURS)
    lines = {
        f"forgotten of request {i}": [None] * (i - 1)
        + [run["kfr"][i - 1] for run in sequence[i - 1 :]]
        for i in numbers
    }
    lines["kept of the retain set"] = [run["krr"] for run in sequence]
    for name, values in lines.items():
        kept = name.startswith("kept")
        style = {
            "color": TARGET_COLOUR if kept else next(colours),
            "dash": "dot" if kept else "solid",
        }
        if any(value is not None for value in values):
            figure.add_scatter(
                x=numbers, y=values, mode="lines+markers", name=name, line={"width": 2, **style},
                hovertemplate="%{fullData.name}: %{y:.0%}<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(title="deletion requests so far", dtick=1)
    figure.update_yaxes(title="share of answers", range=[-0.03, 1.03])
    return finish(figure, height=400)


def to_json(figure: go.Figure) -> dict[str, Any]:
    """Return `figure` as plain JSON values."""
    values: dict[str, Any] = json.loads(figure.to_json())
    return values


def finish(figure: go.Figure, height: int) -> go.Figure | None:
    """Give `figure` the report's looks; None if there is nothing in it."""
    if not figure.data:
        return None
    figure.update_layout(
        template="none", height=height, margin={"l": 52, "r": 12, "t": 24, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12}, showlegend=True,
        legend={"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0},
        dragmode=False,
    )  # fmt: skip
    figure.update_xaxes(automargin=True, zeroline=False, title_standoff=8)
    figure.update_yaxes(automargin=True, zeroline=False, title_standoff=8)
    return figure


def _styled(models: list[ModelResults]) -> list[tuple[ModelResults, dict[str, str]]]:
    """Return each model with its colour and symbol; the target, which all start from, is grey."""
    rest = [model for model in models if model.key != "target"]
    styled = [
        (model, {"color": TARGET_COLOUR, "symbol": "circle-open"})
        for model in models
        if model.key == "target"
    ]
    for place, model in enumerate(rest):
        style = {"color": COLOURS[place % len(COLOURS)], "symbol": SYMBOLS[place % len(SYMBOLS)]}
        styled.append((model, style))
    return styled


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def plain(label: str) -> str:
    """Return `label` without what Plotly would read as markup."""
    return visible(label).replace("<", "&lt;").replace(">", "&gt;")
