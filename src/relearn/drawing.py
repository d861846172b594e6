"""How each kind of chart is drawn; its packages are the optional extra `report`.

A chart becomes one Vega-Lite specification for each of its panels. The report's page shows them,
and `write_files` renders the same ones as SVG and PNG; neither asks anything of a network or a
browser. The texts in a chart are untrusted: they become values of the data, titles and labels,
which Vega draws as text.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from relearn.base.storage import atomic_path
from relearn.chart import Chart

Row = dict[str, Any]
Panel = alt.Chart | alt.LayerChart | alt.FacetChart

# Legible on white and on near-black alike, and apart from each other for the colour-blind.
COLOURS = ("#1f8a70", "#d9822b", "#5b7fd6", "#c2569b", "#a08a1c", "#3fa0b8", "#b5533c")
_GREY, _PALE = "#858b97", "#b0b5c0"
FIXED_COLOURS = {
    "target": _GREY, "base": _PALE, "never_saw": _PALE, "loss": _GREY,
    "private": "#b5533c", "plausible": "#1f8a70", "subject": "#5b7fd6", "rest": _PALE,
}  # fmt: skip
"""Of series that mean the same in every chart: controls, the loss, kinds of tokens."""

DASHES = {"base": [6, 3], "never_saw": [2, 3]}
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down")

_INK = "currentColor"
_FAINT = 0.2
CONFIG: dict[str, Any] = {
    # What a chart is called and shows is said beside it; a name for each mark would be noise.
    "aria": False,
    "background": "transparent",
    "view": {"stroke": None},
    "title": {"color": _INK, "anchor": "start"},
    "text": {"color": _INK},
    "axis": {
        "labelColor": _INK, "titleColor": _INK, "titleFontWeight": "normal", "labelAngle": 0,
        "labelOverlap": True, "gridColor": _INK, "gridOpacity": _FAINT, "domainColor": _INK,
        "domainOpacity": _FAINT, "tickColor": _INK, "tickOpacity": _FAINT,
    },
    "axisX": {"grid": False},
    "legend": {
        "labelColor": _INK, "orient": "bottom", "symbolType": "square", "gradientLength": 120,
    },
    "point": {"filled": True},
}  # fmt: skip
"""Looks of all charts. Text and lines have the colour of the text around the chart."""

_FEW_POINTS = 12
_WIDTH, _HEIGHT = 480, 260
_PANEL_WIDTH, _PANEL_HEIGHT = 200, 360


def specifications(chart: Chart, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the Vega-Lite specification of each panel, as wide as what it is put into.

    Args:
        chart: The chart; it has at least one series.
        labels: What readers call the models. Their order gives each model its colour, so charts
            with the same labels have the same colours.
    """
    panels = _DRAW[chart.kind](chart, labels)
    if chart.kind == "lines":
        panels = [_telling(panel) for panel in panels]
    # Checking each value against Vega-Lite's schema takes as long as all the rest.
    drawn = [panel.properties(width="container").to_dict(validate=False) for panel in panels]
    # The schema's address, which the page has no use for.
    return [{key: value for key, value in each.items() if key != "$schema"} for each in drawn]


@cache
def drawing_script() -> str:
    """Return the JavaScript that defines `vegaEmbed`, which draws specifications in a page."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def write_files(charts: Sequence[Chart], labels: Mapping[str, str], folder: Path) -> None:
    """Write every chart to `folder` as `<id>.svg` and `<id>.png`; what was there is replaced.

    Args:
        charts: As for `specifications`.
        labels: As for `specifications`.
        folder: Where to write.

    Raises:
        UserError: the disk is full, or the place may not be written.
    """
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for chart in charts:
            drawn = alt.hconcat(
                *_DRAW[chart.kind](chart, labels), title=chart.title, background="white"
            )
            svg = vl_convert.vegalite_to_svg(
                drawn.to_dict(validate=False), config=CONFIG, allowed_base_urls=[]
            )
            (temporary / f"{chart.id}.svg").write_text(svg, encoding="utf-8")
            (temporary / f"{chart.id}.png").write_bytes(vl_convert.svg_to_png(svg, scale=2))


def _lines(chart: Chart, labels: Mapping[str, str]) -> list[Panel]:
    named = any(isinstance(x, str) for x in chart.x)
    x = alt.X("x:O", sort=None) if named else alt.X("x:Q", scale=alt.Scale(nice=False))
    lines = _series(chart, labels, symbolType="stroke", symbolSize=200).encode(
        x.title(chart.x_label),
        _values(alt.Y, chart, zero=False),
        _styled(chart, labels, alt.StrokeDash, [DASHES.get(name, [1, 0]) for name in chart.series]),
    )
    return [_sized(lines.mark_line(strokeWidth=2, point=len(chart.x) <= _FEW_POINTS))]


def _telling(lines: Panel) -> Panel:
    """Return `lines` with the point nearest to the pointer, which tells what it is."""
    nearest = alt.selection_point(name="nearest", nearest=True, on="pointerover", empty=False)
    shown = alt.condition(nearest, alt.value(1), alt.value(0))
    points = lines.mark_point(size=50).encode(opacity=shown).add_params(nearest)
    return alt.layer(lines, points)


def _bars(chart: Chart, labels: Mapping[str, str]) -> list[Panel]:
    bars = _series(chart, labels).mark_bar()
    x = alt.X("x:N", title=chart.x_label or None, sort=None)
    side_by_side = alt.XOffset("series:N", sort=None)
    return [_sized(bars.encode(x, side_by_side, _values(alt.Y, chart)))]


def _stacked(chart: Chart, labels: Mapping[str, str]) -> list[Panel]:
    chart = replace(chart, x=[labels.get(model, model) for model in chart.x])
    # Lying, so that the models' names have room.
    bars = _series(chart, labels).mark_bar()
    y = alt.Y("x:N", title=chart.x_label or None, sort=None)
    return [_sized(bars.encode(y, _values(alt.X, chart)))]


def _points(chart: Chart, labels: Mapping[str, str]) -> list[Panel]:
    points = _series(chart, labels).mark_point(size=150, opacity=1)
    symbols = [symbol for symbol, _ in zip(cycle(SYMBOLS), chart.series, strict=False)]
    shape = _styled(chart, labels, alt.Shape, symbols)
    return [_sized(points.encode(_values(alt.X, chart, "x:Q"), _values(alt.Y, chart), shape))]


def _heatmaps(chart: Chart, labels: Mapping[str, str]) -> list[Panel]:
    panels: list[Panel] = []
    limit = max((abs(v) for rows in chart.series.values() for row in rows for v in row), default=0)
    scale = alt.Scale(scheme="redblue", domain=[-limit or -1, limit or 1])
    for name, rows in chart.series.items():
        cells = [
            {"x": x, "y": y, "value": v} for y, row in enumerate(rows) for x, v in enumerate(row)
        ]
        drawn = alt.Chart(_data(cells)).mark_rect().encode(
            alt.X("x:O", title=chart.x_label), alt.Y("y:O", title=chart.y_label, sort="descending"),
            alt.Color("value:Q", scale=scale, title=None),
            [_told("y:O", chart.y_label), _told("x:O", chart.x_label), _told("value:Q", "value")],
        )  # fmt: skip
        panels.append(_panel(drawn, labels.get(name, name)))
    return panels


def _graphs(chart: Chart, labels: Mapping[str, str]) -> list[Panel]:
    panels: list[Panel] = []
    colours = _colours([*labels, *chart.series])
    heights = [e[end] for edges in chart.series.values() for e in edges for end in ("y", "y2")]
    bottom, top = min(heights, default=0) - 2, max(heights, default=0) + 2
    for name, edges in chart.series.items():
        ends = {e["source"]: (e["x"], e["y"]) for e in edges}
        ends |= {e["sink"]: (e["x2"], e["y2"]) for e in edges}
        nodes = _data({"name": node, "x": x, "y": y} for node, (x, y) in sorted(ends.items()))
        x = alt.X("x:Q", title=None, scale=alt.Scale(domain=[-1.7, 1.7])).axis(
            values=[-1, 1], labelExpr="datum.value < 0 ? 'attention' : 'MLP'"
        )
        y = alt.Y("y:Q", title=chart.y_label, scale=alt.Scale(domain=[bottom, top])).axis(
            grid=False, tickMinStep=1
        )
        strongest = max((edge["share"] for edge in edges), default=1)
        scale = alt.Scale(domain=[0, strongest], range=[0.5, 5])
        width = alt.StrokeWidth("share:Q", scale=scale, legend=None)
        lines = alt.Chart(_data(edges)).mark_rule(color=colours[name], opacity=0.6).encode(
            x, y, width, x2="x2", y2="y2",
            tooltip=[_told("source:N", "from"), _told("sink:N", "to"), _told("share:Q", "share")],
        )  # fmt: skip
        dots = alt.Chart(nodes).encode(x, y, tooltip=_told("name:N", "part"))
        # Layer and side tell which part a dot is; only what has no layer is named.
        named = dots.transform_filter("indexof(datum.name, '.') < 0").encode(text="name:N")
        drawn = alt.layer(
            lines,
            dots.mark_point(color=colours[name], opacity=1),
            named.mark_text(dy=alt.ExprRef("datum.y < 0 ? 12 : -10")),
        )
        panels.append(_panel(drawn, labels.get(name, name)))
    return panels


_DRAW: dict[str, Callable[[Chart, Mapping[str, str]], list[Panel]]] = {
    "lines": _lines, "bars": _bars, "stacked": _stacked, "points": _points,
    "heatmaps": _heatmaps, "graphs": _graphs,
}  # fmt: skip


def _series(chart: Chart, labels: Mapping[str, str], **legend: Any) -> alt.Chart:
    """Return a chart of the series' values, coloured by series, that tells each when pointed at."""
    values = {
        name: [of] if chart.kind == "points" else list(zip(chart.x, of, strict=False))
        for name, of in chart.series.items()
    }
    rows = [
        {"series": labels.get(name, name), "x": x, "y": y}
        for name, of in values.items()
        for x, y in of
    ]
    colours = _colours([*labels, *chart.series])
    # As many columns as fit beside each other; there is no container in files.
    columns = alt.ExprRef(f"max(1, floor((containerSize()[0] || {_WIDTH}) / 140))")
    columned = alt.Legend(columns=columns, labelLimit=180, **legend)
    chosen = [colours[name] for name in chart.series]
    return alt.Chart(_data(rows)).encode(
        _styled(chart, labels, alt.Color, chosen, legend=columned),
        tooltip=[
            _told("series:N", "series"),
            _told("x:N", chart.x_label or "of"),
            _told("y:Q", chart.y_label or "value"),
        ],
    )


def _styled(
    chart: Chart, labels: Mapping[str, str], channel: Any, choices: Sequence[Any], **options: Any
) -> Any:
    """Return the encoding of the series by `channel`, which shows them as `choices`."""
    scale = alt.Scale(domain=[labels.get(name, name) for name in chart.series], range=choices)
    return channel("series:N", title=None, scale=scale, **options)


def _colours(names: Sequence[str]) -> dict[str, str]:
    others = cycle(COLOURS)
    return {name: FIXED_COLOURS.get(name) or next(others) for name in dict.fromkeys(names)}


def _values(channel: Any, chart: Chart, field: str = "y:Q", zero: bool = True) -> Any:
    """Return the axis of values, or that of `field` beside it."""
    scale = alt.Scale(domain=chart.span) if chart.span else alt.Scale(zero=zero)
    label = chart.y_label if field == "y:Q" else chart.x_label
    return channel(field, title=label or None, scale=scale)


def _told(field: str, title: str) -> alt.Tooltip:
    return alt.Tooltip(field, title=title, format=".4~r" if field.endswith(":Q") else "")


def _data(rows: Iterable[Row]) -> alt.Data:
    return alt.Data(values=list(rows))


def _sized(drawn: Panel) -> Panel:
    return drawn.properties(width=_WIDTH, height=_HEIGHT)


def _panel(drawn: Panel, title: str) -> Panel:
    return drawn.properties(
        width=_PANEL_WIDTH, height=_PANEL_HEIGHT, title=alt.Title(title, fontWeight="normal")
    )
