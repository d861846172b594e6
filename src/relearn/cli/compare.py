"""`relearn compare`: many objectives on the same data."""

from typing import Annotated

import typer
from rich.text import Text

from relearn.base.errors import UserError
from relearn.cli.common import (
    AllowUnanswered,
    Config,
    ModelName,
    Output,
    Overrides,
    Table,
    console,
    end_with,
    settings_of,
)
from relearn.config import recipes


def compare(
    output: Output,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="Objective to compare; repeat for more. Default: all."),
    ] = None,
    forget: Annotated[str | None, typer.Option(help="What to forget.")] = None,
    retain: Annotated[str | None, typer.Option(help="What to keep.")] = None,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
    allow_unanswered: AllowUnanswered = False,
) -> None:
    """Compare objectives on the same data; by default, all of them on the sample data."""
    from relearn.base.storage import read_json
    from relearn.comparison import compare as compare_objectives
    from relearn.report.glossary import MAIN_FIGURES

    if not config and bool(forget) != bool(retain):
        raise UserError(
            "one of the two sets is missing.", "Give --forget and --retain, or neither."
        )
    named = {"data.forget": forget, "data.retain": retain, "model.name": model}
    # The sample's people do not exist and must be learned first; the user's are known already.
    known = ["memorize=null"] if forget and not config else []
    settings = settings_of(config or recipes()["comparison"], named, [*known, *(overrides or [])])
    rows, failed = compare_objectives(settings, objective or [], output)
    table = Table("objective", *MAIN_FIGURES.values())
    for row in rows:
        values = [row.get(column) for column in MAIN_FIGURES]
        table.add_row(row["name"], *("" if v is None else f"{v:.3f}" for v in values))
    console.print(table)
    for name, reason in failed.items():
        console.print(Text(f"{name} is left out: {reason}"), soft_wrap=True)
    console.print(f"report: {output / 'report.html'}", soft_wrap=True, highlight=False)
    unanswered = read_json(output / "compare.json")["unanswered"].values()
    end_with(sorted({id_ for ids in unanswered for id_ in ids}), allow_unanswered)
