"""Still figures, as SVG and PNG."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relearn.analysis.charts import Chart
from relearn.analysis.looks import CLASS_COLOURS, colours, graph_layers, graph_place, heat_limit
from relearn.analysis.names import BASE
from relearn.base.storage import atomic_path


def draw_all(charts: Sequence[Chart], models: Sequence[str], folder: Path) -> None:
    """Write every chart to `folder` as `<id>.svg` and `<id>.png`; what was there is replaced."""
    # Text stays text in an SVG; ids do not change from run to run.
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "relearn", "font.size": 10,
             "axes.spines.top": False, "axes.spines.right": False}  # fmt: skip
    with mpl.rc_context(style), atomic_path(folder) as temporary:
        temporary.mkdir()
        for chart in charts:
            figure = _DRAW[chart.kind](chart, colours(models))
            figure.suptitle(chart.title, fontsize=12, parse_math=False)
            for suffix in ("svg", "png"):
                metadata = {"Date": None} if suffix == "svg" else None
                figure.savefig(temporary / f"{chart.id}.{suffix}", dpi=150, metadata=metadata)


def _one(chart: Chart) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    return figure, axes


def _finished(figure: Figure, axes: Axes) -> Figure:
    axes.legend(frameon=False, fontsize=9)
    return figure


def _lines(chart: Chart, colour: Mapping[str, str]) -> Figure:
    figure, axes = _one(chart)
    for model, values in chart.series.items():
        numbers = [float("nan") if value is None else value for value in values]
        style = "--" if model == BASE else "-"
        axes.plot(chart.x[: len(values)], numbers, style, color=colour[model], label=model)
    return _finished(figure, axes)


def _bars(chart: Chart, colour: Mapping[str, str]) -> Figure:
    figure, axes = _one(chart)
    width = 0.8 / max(len(chart.series), 1)
    for place, (model, values) in enumerate(chart.series.items()):
        at = [x - 0.4 + width * (place + 0.5) for x in range(len(values))]
        axes.bar(at, [v or 0.0 for v in values], width, color=colour[model], label=model)
    axes.set_xticks(range(len(chart.x)), chart.x)
    return _finished(figure, axes)


def _stacked(chart: Chart, _: Mapping[str, str]) -> Figure:
    figure, axes = _one(chart)
    below = [0.0] * len(chart.x)
    for name, values in chart.series.items():
        axes.bar(chart.x, values, 0.7, bottom=below, color=CLASS_COLOURS[name], label=name)
        below = [b + v for b, v in zip(below, values, strict=True)]
    return _finished(figure, axes)


def _heatmaps(chart: Chart, _: Mapping[str, str]) -> Figure:
    figure, panels = _panels(chart)
    limit = heat_limit(chart.series)
    for axes, (model, values) in zip(panels, chart.series.items(), strict=True):
        image = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto",
                            origin="lower")  # fmt: skip
        axes.set_title(model, fontsize=10, parse_math=False)
        axes.set_xlabel(chart.x_label)
    panels[0].set_ylabel(chart.y_label)
    figure.colorbar(image, ax=panels, shrink=0.8)
    return figure


def _graphs(chart: Chart, colour: Mapping[str, str]) -> Figure:
    figure, panels = _panels(chart)
    layers = graph_layers(chart.series)
    for axes, (model, edges) in zip(panels, chart.series.items(), strict=True):
        strongest = max((share for *_, share in edges), default=1.0)
        for source, sink, share in edges:
            (x, y), (u, v) = graph_place(source, layers), graph_place(sink, layers)
            axes.plot([x, u], [y, v], color=colour[model], lw=0.5 + 4 * share / strongest,
                      alpha=0.6)  # fmt: skip
        for node in {node for edge in edges for node in edge[:2]}:
            x, y = graph_place(node, layers)
            axes.plot(x, y, "o", color=colour[model], ms=4)
            axes.annotate(node, (x, y), (4, 4), textcoords="offset points", fontsize=7)
        axes.set_title(model, fontsize=10, parse_math=False)
        axes.set(xlim=(-1.6, 2.2), ylim=(-2.5, layers + 1.5), xticks=[], yticks=[])
    return figure


def _panels(chart: Chart) -> tuple[Figure, list[Axes]]:
    count = len(chart.series)
    figure = Figure(figsize=(2.7 * count + 0.8, 5.5), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


_DRAW: dict[str, Callable[[Chart, Mapping[str, str]], Any]] = {
    "lines": _lines, "bars": _bars, "stacked": _stacked, "heatmaps": _heatmaps, "graphs": _graphs,
}  # fmt: skip
