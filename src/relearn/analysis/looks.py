"""Colours and places that still and interactive figures share."""

from collections.abc import Mapping, Sequence
from typing import Any

from relearn.analysis.names import ATTENTION, BASE, CONTEXT, OUTPUT, SUBJECT

# Those of the report's other figures, so that a model has one colour throughout.
COLOURS = ("#1f8a70", "#d9822b", "#5b7fd6", "#c2569b", "#a08a1c", "#3fa0b8", "#b5533c")
TARGET_COLOUR, BASE_COLOUR = "#858b97", "#b9bec8"
CLASS_COLOURS = {
    "private": "#b5533c", "plausible": "#1f8a70", "subject": "#5b7fd6", "rest": "#b9bec8",
}  # fmt: skip

Edges = Sequence[tuple[str, str, float]]


def colours(models: Sequence[str]) -> dict[str, str]:
    """Return each model's colour; the target, the first, and `base` are grey."""
    rest = [model for model in models[1:] if model != BASE]
    return {
        models[0]: TARGET_COLOUR,
        BASE: BASE_COLOUR,
        **{model: COLOURS[place % len(COLOURS)] for place, model in enumerate(rest)},
    }


def heat_limit(series: Mapping[str, list[list[float]]]) -> float:
    """Return the end of a colour scale that all models share."""
    return max((abs(v) for rows in series.values() for row in rows for v in row), default=1.0) or 1


def graph_place(node: str, layers: int) -> tuple[float, float]:
    """Return where a node of a circuit is drawn: attentions left, MLPs right, the output on top."""
    if node in (SUBJECT, CONTEXT):
        return (-0.6 if node == SUBJECT else 0.6), -1.5
    if node == OUTPUT:
        return 0.0, layers + 0.5
    kind, _, layer = node.partition(".")
    return (-1.0 if kind == ATTENTION else 1.0), float(layer)


def graph_layers(series: Mapping[str, Edges]) -> int:
    """Return the number of layers that the models' edges reach."""
    nodes: list[Any] = [node for edges in series.values() for edge in edges for node in edge[:2]]
    return max((int(n.partition(".")[2]) + 1 for n in nodes if "." in n), default=1)
