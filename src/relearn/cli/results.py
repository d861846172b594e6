"""`relearn results`: figures of several models in one table."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from relearn.cli.common import Table, console


def results(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...",
            help="Outputs of evaluations, run folders, results of open-unlearning.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show the figures of several models side by side."""
    from relearn.evaluation.side_by_side import results_in
    from relearn.report.glossary import number, order

    found = {name: figures for place in places for name, figures in results_in(place).items()}
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table("metric")
    for name in found:
        table.add_column(Text(name))
    for key in sorted({key for figures in found.values() for key in figures}, key=order):
        table.add_row(key, *(number(figures.get(key)) for figures in found.values()))
    console.print(table)
