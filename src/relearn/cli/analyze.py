"""`relearn analyze`: look inside the models to see why they forget."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from relearn.base.distributed import by_leader
from relearn.base.errors import UserError
from relearn.cli.common import console


def analyze(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Run folder, or with --models: further NAME=PATH."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="Instead of a run: two or more models to compare."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="With --models: what to forget.")] = None,
    retain: Annotated[str | None, typer.Option(help="With --models: what to keep.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder to write to. Default: RUN/analysis.")
    ] = None,
    prompts: Annotated[int, typer.Option(min=1, help="Questions to use from each set.")] = 24,
) -> None:
    """Look inside models to see why they forget. Run the same command again to resume."""
    from relearn.analysis.analyze import AnalysisSettings
    from relearn.analysis.command import run_analysis
    from relearn.analysis.inputs import from_options, from_run
    from relearn.report import write_report

    run = None
    if models:
        if not data or not output:
            raise UserError("--models needs --data FILE and --output DIR.", "Give both.")
        subject = from_options([*models, *(places or [])], data, retain)
    elif places and len(places) == 1:
        run = Path(places[0])
        subject, output = from_run(run), output or run / "analysis"
    else:
        raise UserError(
            "there is nothing to analyze.", "Name one run folder, or give --models and --data."
        )
    summary = run_analysis(subject, output, AnalysisSettings(prompts=prompts))
    for claim in summary["claims"]:
        console.print(Text(f"{claim['name']}: {claim['verdict']}. {claim['evidence']}"))
    if run is not None and output == run / "analysis":
        report = by_leader(partial(write_report, run))
        console.print(f"report: {report}", soft_wrap=True, highlight=False)
    console.print(f"analysis: {output}", soft_wrap=True, highlight=False)
