"""What a chart is: data, without looks; `relearn.drawing` draws it."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from relearn.base.extras import installing

UNDRAWN = f"no charts, as what draws them is not installed: {installing('report')}"
"""What a user is told, once, where that extra is missing."""

Kind = Literal["lines", "bars", "stacked", "points", "heatmaps", "graphs"]


@dataclass(frozen=True)
class Chart:
    """One figure, without looks.

    Attributes:
        id: File name, and its place in the page.
        part: Of the report: `outcome`, `requests`, `audit`, `training`, or of its analysis:
            `distribution`, `memory`, `circuits`, `language`.
        kind: How it is drawn.
        title: What it shows.
        note: How it is read.
        x_label: Of the horizontal axis; with `stacked` of the vertical one.
        y_label: Of the axis of values.
        x: Values or categories that all series share.
        series: `lines`, `bars`: for each model its values at `x`, or None. `stacked`: for each
            class of tokens its values for the models in `x`. `points`: for each model its point
            `[x, y]`. `heatmaps`: for each model rows of values. `graphs`: for each model its edges
            as `source`, `sink`, `share`, from `x`, `y` to `x2`, `y2`.
        span: Ends of the axes of values; None fits them to the values.
    """

    id: str
    part: str
    kind: Kind
    title: str
    note: str
    x_label: str = ""
    y_label: str = ""
    x: list[Any] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)
    span: list[float] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the chart as plain JSON values."""
        return asdict(self)

    @property
    def has_panels(self) -> bool:
        """Whether each model has a panel of its own."""
        return self.kind in ("heatmaps", "graphs")
