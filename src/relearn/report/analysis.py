"""What `relearn analyze` found in a run's models, for the report; absent where it did not run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from relearn.analysis.looks import CLASS_COLOURS, colours, graph_layers, graph_place, heat_limit
from relearn.analysis.names import BASE, OUTPUT
from relearn.base.storage import read_json
from relearn.report.figures import finish, plain, to_json
from relearn.report.results import RunResults, visible

PARTS = {
    "distribution": (
        "What takes the private word's place",
        "A language model chooses each word by giving every token a probability. At the private "
        "words of an answer, such as a town or a name, the target model is sure. Unlearning has "
        "to take that probability away, and it has to go somewhere. Tokens are put in four "
        "kinds: the private one; plausible ones, which the base model, which never saw the "
        "answer, expects there; those of the subject and the question; and the rest. If the "
        "probability goes to the rest, the model has not learned what to say instead.",
    ),
    "memory": (
        "Where the knowledge lies",
        "A model works in layers, each of which adds to what the ones before it found out. Read "
        "as if the model ended after a layer, that layer's state shows its best guess so far. So "
        "one sees at which depth a private word comes up, whether unlearning removed it or only "
        "covers it at the end, and whether the rest of the way is as it was.",
    ),
    "circuits": (
        "Which parts carry it",
        "Attention heads fetch information from other words, such as the subject's name in the "
        "question; MLPs look up what belongs to it. One can compute what each of them adds to "
        "the private word, cut or restore single paths, and see which of them unlearning "
        "changed.",
    ),
    "language": (
        "What becomes of the language",
        "A model whose private words were only pushed down may fall into loops: it is then sure "
        "of the next token, and what it says is empty. A sound model stays unsure where several "
        "words would do.",
    ),
}
"""Heading and explanation of each part, for a reader who does not know the paper."""

UNLEARNED = "unlearned"

SIGNS = {"seen": "yes", "partly seen": "partly", "not seen": "no", "not measured": "not-measured"}


def read_analysis(run_folder: Path, results: RunResults) -> dict[str, Any] | None:
    """Return what the template shows of a run's analysis; None where there is none.

    With redaction no token and no question is in it, only figures.
    """
    folder = run_folder / "analysis"
    if not (folder / "summary.json").is_file():
        return None
    summary = read_json(folder / "summary.json")
    labels = {m.key: m.label for m in results.models} | {BASE: "Base"}
    names = {model: labels.get(model, model) for model in summary["models"]}
    redact = results.config.report.redact
    shown = [] if redact else read_json(folder / "candidates.json")
    drawn = [
        _figure(chart, summary["models"], names) for chart in read_json(folder / "charts.json")
    ]
    return {
        "claims": [claim | {"sign": SIGNS[claim["verdict"]]} for claim in summary["claims"]],
        "about_unlearned": [f["text"] for f in summary["findings"] if f["model"] == UNLEARNED],
        "about_others": [f["text"] for f in summary["findings"] if f["model"] != UNLEARNED],
        "parts": [
            {
                "heading": heading,
                "text": text,
                "figures": [figure for figure in drawn if figure["part"] == part],
                "candidates": _candidates(shown, names) if part == "distribution" else [],
            }
            for part, (heading, text) in PARTS.items()
        ],
        "figures": drawn,
    }


def _candidates(shown: list[dict[str, Any]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "question": example["question"],
            "models": [
                {"label": names.get(model, model), "tokens": tokens}
                for model, tokens in example["models"].items()
            ],
        }
        for example in shown
    ]


def _figure(chart: dict[str, Any], models: list[str], names: Mapping[str, str]) -> dict[str, Any]:
    figure = _DRAW[chart["kind"]](chart, colours(models), names)
    finished = finish(figure, height=520 if chart["kind"] in ("graphs", "heatmaps") else 380)
    return {
        "id": f"analysis-{chart['id']}",
        "part": chart["part"],
        "wide": chart["kind"] in ("graphs", "heatmaps"),
        "title": visible(chart["title"]),
        "note": visible(chart["note"]),
        "plot": to_json(finished) if finished else {},
    }


def _lines(chart: dict[str, Any], colour: Mapping[str, str], names: Mapping[str, str]) -> go.Figure:
    figure = go.Figure()
    for model, values in chart["series"].items():
        line = {"color": colour[model], "width": 2, "dash": "dot" if model == BASE else "solid"}
        figure.add_scatter(
            x=chart["x"][: len(values)], y=values, mode="lines", name=plain(names[model]), line=line
        )
    figure.update_layout(hovermode="x unified")
    return _with_axes(figure, chart)


def _bars(chart: dict[str, Any], colour: Mapping[str, str], names: Mapping[str, str]) -> go.Figure:
    figure = go.Figure()
    for model, values in chart["series"].items():
        figure.add_bar(x=chart["x"], y=values, name=plain(names[model]),
                       marker={"color": colour[model], "line": {"width": 0}})  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.12)
    # "0-4" is a range of layers, and no date.
    figure.update_xaxes(type="category")
    return _with_axes(figure, chart)


def _stacked(chart: dict[str, Any], _: Mapping[str, str], names: Mapping[str, str]) -> go.Figure:
    figure = go.Figure()
    labels = [plain(names[model]).replace(" (", "<br>(") for model in chart["x"]]
    for name, values in chart["series"].items():
        figure.add_bar(x=labels, y=values, name=name,
                       marker={"color": CLASS_COLOURS[name], "line": {"width": 0}},
                       hovertemplate="%{fullData.name}: %{y:.3f}<extra></extra>")  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.3)
    figure.update_xaxes(tickangle=0)
    return _with_axes(figure, chart)


def _heatmaps(chart: dict[str, Any], _: Mapping[str, str], names: Mapping[str, str]) -> go.Figure:
    figure = _panels(chart, names)
    limit = heat_limit(chart["series"])
    for place, rows in enumerate(chart["series"].values(), 1):
        cells = [(x, y, value) for y, row in enumerate(rows) for x, value in enumerate(row)]
        # Squares rather than Plotly's heatmap, which is an image: the page's policy lets none in.
        marker = {
            "symbol": "square", "size": 9, "color": [value for *_, value in cells],
            "cmin": -limit, "cmax": limit, "colorscale": "RdBu", "showscale": place == 1,
            "line": {"width": 0},
        }  # fmt: skip
        figure.add_scatter(
            x=[x for x, *_ in cells], y=[y for _, y, _ in cells], mode="markers", marker=marker,
            text=[f"layer {y}, head {x}: {value:.2f}" for x, y, value in cells],
            hoverinfo="text", showlegend=False, row=1, col=place,
        )  # fmt: skip
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    return _with_axes(figure, chart)


def _graphs(
    chart: dict[str, Any], colour: Mapping[str, str], names: Mapping[str, str]
) -> go.Figure:
    figure, layers = _panels(chart, names), graph_layers(chart["series"])
    for place, (model, edges) in enumerate(chart["series"].items(), 1):
        strongest = max((share for *_, share in edges), default=1.0)
        for source, sink, share in edges:
            ends = [graph_place(source, layers), graph_place(sink, layers)]
            line = {"color": colour[model], "width": 0.5 + 5 * share / strongest}
            figure.add_scatter(
                x=[x for x, _ in ends], y=[y for _, y in ends], mode="lines", line=line,
                opacity=0.6, hoverinfo="skip", showlegend=False, row=1, col=place,
            )  # fmt: skip
        nodes = sorted({node for edge in edges for node in edge[:2]})
        spots = [graph_place(node, layers) for node in nodes]
        # Layer and side tell which part a dot is; only what has no layer is named.
        text = ["" if "." in node else node for node in nodes]
        figure.add_scatter(
            x=[x for x, _ in spots], y=[y for _, y in spots], mode="markers+text", text=text,
            textposition=["top center" if n == OUTPUT else "bottom center" for n in nodes],
            hovertext=nodes, hoverinfo="text", cliponaxis=False,
            marker={"color": colour[model], "size": 7}, showlegend=False, row=1, col=place,
        )  # fmt: skip
    figure.update_xaxes(range=[-1.7, 1.7], tickvals=[-1, 1], ticktext=["attention", "MLP"])
    figure.update_yaxes(range=[-2.4, layers + 1.8], showgrid=False)
    figure.update_yaxes(title="layer", row=1, col=1)
    return figure


def _panels(chart: dict[str, Any], names: Mapping[str, str]) -> go.Figure:
    titles = [plain(names[model]) for model in chart["series"]]
    return make_subplots(rows=1, cols=len(titles), subplot_titles=titles, shared_yaxes=True)


def _with_axes(figure: go.Figure, chart: dict[str, Any]) -> go.Figure:
    figure.update_xaxes(title=chart["x_label"] or None)
    panels = chart["kind"] == "heatmaps"
    figure.update_yaxes(title=chart["y_label"] or None, **({"row": 1, "col": 1} if panels else {}))
    return figure


_DRAW: dict[str, Callable[[dict[str, Any], Mapping[str, str], Mapping[str, str]], go.Figure]] = {
    "lines": _lines, "bars": _bars, "stacked": _stacked, "heatmaps": _heatmaps, "graphs": _graphs,
}  # fmt: skip
