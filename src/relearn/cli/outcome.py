"""What a run prints at its end: the verdict, then the main figures; the files have all of them."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from relearn.base.visible import visible
from relearn.report.outcome import outcome
from relearn.report.results import read_results
from relearn.report.verdict import judge

_MODELS = 6  # that fit 80 columns


def print_outcome(run: Path, console: Console) -> None:
    """Print the verdict on a finished run and its main figures, in at most 80 columns.

    Raises:
        UserError: it is no run folder, or nothing is evaluated in it.
    """
    results = read_results(run)
    console.print(Text(judge(results).sentence), style="bold")
    found = outcome(results, _MODELS)
    columns = [escape(visible(name)) for name in found.models]
    table = Table("", *columns, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in found.rows:
        table.add_row(*row)
    console.print(table)
    if more := len(results.models) - len(found.models):
        console.print(f"{more} more models are in the report", style="dim")
