"""What a run prints at its end: the verdict, then ten figures; the files have all of them."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from relearn.report.results import RunResults, read_results, visible
from relearn.report.verdict import judge

_ROWS = (
    ("forget: forgotten (KFR)", "forget/kfr"),
    ("  asked in unseen ways", "forget_unseen/kfr"),
    ("  said again (ROUGE-L)", "forget/rougeL_recall"),
    ("  of earlier requests", "forget_earlier/kfr"),
    ("retain: kept (KRR)", "retain/krr"),
    ("  unseen questions", "retain_unseen/krr"),
    ("  said again (ROUGE-L)", "retain/rougeL_recall"),
    ("language, forget (LS)", "forget/ls"),
    ("language, retain (LS)", "retain/ls"),
)
_MODELS = 6  # that fit 80 columns


def print_outcome(run: Path, console: Console) -> None:
    """Print the verdict on a finished run and its main figures, in at most 80 columns.

    Raises:
        UserError: it is no run folder, or nothing is evaluated in it.
    """
    results = read_results(run)
    console.print(Text(judge(results).sentence), style="bold")
    models = [model.key for model in results.models]
    shown = models if len(models) <= _MODELS else models[:2]
    table = Table("", *(escape(visible(name)) for name in shown), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for label, key in _ROWS:
        values = [results.metric(model, key) for model in shown]
        if any(value is not None for value in values):
            table.add_row(label, *("" if v is None else f"{v:.3f}" for v in values))
    if results.audit:
        table.add_row(*_audit_row(results, shown))
    console.print(table)
    if shown != models:
        console.print(f"{len(models) - 2} more models are in the report", style="dim")


def _audit_row(results: RunResults, models: list[str]) -> list[str]:
    """Return the share of facts that the attack got out that is worst for the unlearned model."""
    audit = results.audit
    if not audit or not audit.worst:
        return ["audit: told by any attack", *("0%" if m == "unlearned" else "" for m in models)]
    rates = [audit.rates[audit.worst].get(model) for model in models]
    label = f"audit, worst: {audit.worst}"
    return [label, *("" if rate is None else f"{rate:.0%}" for rate in rates)]
