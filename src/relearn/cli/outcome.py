"""What a run or an evaluation prints at its end; the files have all of it."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from relearn.base.visible import visible
from relearn.evaluation.scoring import read_not_computed
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


def print_notes(names: Iterable[str], evaluation: Path, console: Console) -> None:
    """Print which perplexity the figures are, and which metrics have no value, and why.

    Args:
        names: Of the figures.
        evaluation: Folder of their results.
        console: Where to print.
    """
    shown = {name.rpartition("/")[2] for name in names}
    if shown & {"perplexity", "ls"}:
        console.print("perplexity, ls: asked in the prompt format (chat template)", style="dim")
    if shown & {"plain_perplexity", "plain_ls"}:
        console.print("plain_perplexity, plain_ls: as plain text (the paper's code)", style="dim")
    for line in read_not_computed(evaluation):
        console.print(Text(line))
