"""The charts of an analysis, from its tables and figures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from relearn.analysis.names import ATTENTION, BASE, CLASSES, CONTEXT, MLP, OUTPUT, SUBJECT
from relearn.analysis.observe import Tables
from relearn.analysis.summary import EDGE_FACTOR, Figures, circuit, clean, mean_edges, recovery
from relearn.chart import Chart

_GRAPHS = 4


def charts(tables: Tables, figures: Mapping[str, Figures], models: Sequence[str]) -> list[Chart]:
    """Return the charts that there are figures for; `models` begins with the target."""
    drawn = [
        _masses(figures, models),
        _seesaw(figures, models),
        _by_layer(
            figures, models, ("lens", "forget", "decodable_by_layer"),
            Chart("decodable", "memory", "lines", "Where the private words come up",
                  "Share of the private words among the ten likeliest tokens, if the model ended "
                  "after this layer. Layer 0 is the input.", "layer", "share of private words"),
        ),
        _by_layer(
            figures, models, ("lens", "forget", "kl_to_output_by_layer"),
            Chart("path", "memory", "lines", "The way to the answer",
                  "How far each layer's guess is from the model's own final one (KL divergence). A "
                  "slow fall means that layers build on each other.", "layer", "nats"),
            first=1,
        ),
        *(
            _by_layer(
                figures, models, ("states", name, "cka_by_layer"),
                Chart(f"similarity_{name}", "memory", "lines",
                      f"Likeness to the target inside, {name} questions",
                      "1: the hidden states are arranged as in the target model (CKA).",
                      "layer", "CKA"),
            )
            for name in figures[models[0]]["states"]
        ),
        _by_layer(
            figures, models, ("weights", "relative_norm_by_layer"),
            Chart("weights", "memory", "lines", "Where the weights changed",
                  "Size of the change over the size of the weights, mean over a layer's matrices. "
                  "Of the target: since the base model.", "layer", "relative change"),
        ),
        _attention(tables["attention"], models),
        _heads(tables["components"], models),
        *(_patching(tables.get("patching"), models, kind) for kind in (ATTENTION, MLP)),
        _graphs(tables["edges"], models),
        _entropy(tables["steps"], models),
        _collapse(figures, models),
    ]  # fmt: skip
    return [chart for chart in drawn if chart.series]


def _masses(figures: Mapping[str, Figures], models: Sequence[str]) -> Chart:
    return Chart(
        "masses", "distribution", "stacked", "What stands where the private word stood",
        "Probability by kind of token, mean over the private words of the forget questions.",
        "", "probability", list(models),
        {
            name: [figures[model]["distribution"]["forget"]["mass"][name] for model in models]
            for name in CLASSES
        },
        span=[0, 1],
    )  # fmt: skip


def _seesaw(figures: Mapping[str, Figures], models: Sequence[str]) -> Chart:
    sets = list(figures[models[0]]["distribution"])
    values = {
        model: [figures[model]["distribution"][name]["seesaw"] for name in sets]
        for model in models[1:]
    }
    return Chart(
        "seesaw", "distribution", "bars", "The see-saw",
        "Share of the probability that the true words lost which went to tokens that fit neither "
        "the sentence nor the subject. No bar: they lost nothing to speak of.",
        "", "share gone astray", sets,
        {m: v for m, v in values.items() if any(each is not None for each in v)},
    )  # fmt: skip


def _by_layer(
    figures: Mapping[str, Figures],
    models: Sequence[str],
    path: tuple[str, ...],
    chart: Chart,
    first: int = 0,
) -> Chart:
    """Fill in what stands at `path` for each model, from layer `first` on."""
    for model in models:
        value: Any = figures[model]
        for step in path:
            value = value.get(step) if value else None
        if value:
            chart.series[model] = value[first:]
            chart.x[:] = range(first, len(value))
    return chart


def _attention(frame: pd.DataFrame, models: Sequence[str]) -> Chart:
    forget = frame[frame["set"] == "forget"]
    means = forget.groupby(["model", "layer"])["attention"].mean()
    series = {model: means[model].tolist() for model in models}
    return Chart(
        "attention", "circuits", "lines", "Looking at the subject",
        "Share of attention that goes from the private words to the subject's tokens in the "
        "question, mean over a layer's heads.",
        "layer", "attention", list(range(len(next(iter(series.values()))))), series,
    )  # fmt: skip


def _heads(frame: pd.DataFrame, models: Sequence[str]) -> Chart:
    rows = frame[(frame["set"] == "forget") & (frame["kind"] == "head")]
    means = rows.groupby(["model", "layer", "head"])["contribution"].mean()
    return Chart(
        "heads", "circuits", "heatmaps", "What each attention head adds to the private word",
        "Direct contribution to the word's logit, above the mean of all tokens. A row a layer, a "
        "column a head.",
        "head", "layer",
        series={model: means[model].unstack().to_numpy().tolist() for model in models},
    )  # fmt: skip


def _patching(frame: pd.DataFrame | None, models: Sequence[str], kind: str) -> Chart:
    name = "attention" if kind == ATTENTION else "MLPs"
    chart = Chart(
        f"patching_{kind}", "circuits", "bars", f"Putting the {name} back",
        f"Share of the private words' lost log-probability that comes back if the {name} of some "
        "layers write what they wrote in the target model.",
        "layers", "share brought back",
    )  # fmt: skip
    for model in models[1:]:
        rows = (
            frame[(frame["model"] == model) & (frame["kind"] == kind)] if frame is not None else ()
        )
        if len(rows):
            windows = recovery(rows)
            chart.series[model] = windows["recovery"].tolist()
            chart.x[:] = [
                f"{first}-{last}" for first, last in windows[["first_layer", "last_layer"]].values
            ]
    return chart


def _graphs(frame: pd.DataFrame, models: Sequence[str]) -> Chart:
    """The target, what learned, and the first rivals: more than a few can't be compared by eye."""
    circuits = {
        model: circuit(mean_edges(frame, model))
        for model in [m for m in models if m != BASE][:_GRAPHS]
    }
    layers = _layers({node for found in circuits.values() for edge in found.index for node in edge})
    series = {
        model: [
            _edge(source, sink, float(share), layers) for (source, sink), share in found.items()
        ]
        for model, found in circuits.items()
    }
    return Chart(
        "circuits", "circuits", "graphs", "The circuit of the private word",
        f"Paths that carry at least {EDGE_FACTOR} times an even share of the effect on the private "
        "word, from the question's tokens (bottom) through the layers to the output (top). Thick "
        "is strong.",
        y_label="layer",
        series=series,
    )  # fmt: skip


def _layers(nodes: Iterable[str]) -> int:
    return max((int(node.partition(".")[2]) + 1 for node in nodes if "." in node), default=1)


def _edge(source: str, sink: str, share: float, layers: int) -> dict[str, Any]:
    (x, y), (x2, y2) = _place(source, layers), _place(sink, layers)
    return {"source": source, "sink": sink, "share": share, "x": x, "y": y, "x2": x2, "y2": y2}


def _place(node: str, layers: int) -> tuple[float, float]:
    """Return where a node of a circuit is drawn: attentions left, MLPs right, the output on top."""
    if node in (SUBJECT, CONTEXT):
        return (-0.6 if node == SUBJECT else 0.6), -1.5
    if node == OUTPUT:
        return 0.0, layers + 0.5
    kind, _, layer = node.partition(".")
    return (-1.0 if kind == ATTENTION else 1.0), float(layer)


def _entropy(frame: pd.DataFrame, models: Sequence[str]) -> Chart:
    forget = frame[frame["set"] == "forget"]
    means = forget.groupby(["model", "step"])["entropy"].mean()
    longest = int(forget["step"].max()) + 1 if len(forget) else 0
    return Chart(
        "entropy", "language", "lines", "How sure the model is while it answers",
        "Entropy of the next token, step by step, mean over the answers to forget questions that "
        "are not over yet. Near 0 in a loop.",
        "token of the answer", "nats", list(range(longest)),
        {model: clean(means[model].reindex(range(longest)).tolist()) for model in models},
    )  # fmt: skip


def _collapse(figures: Mapping[str, Figures], models: Sequence[str]) -> Chart:
    sets = list(figures[models[0]]["language"])
    return Chart(
        "collapse", "language", "bars", "Answers that collapse",
        "Share of answers that are empty, end in a loop, or mostly repeat themselves.",
        "", "share of answers", sets,
        {m: [figures[m]["language"][name]["collapsed"] for name in sets] for m in models},
    )  # fmt: skip
