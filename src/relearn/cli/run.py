"""`relearn run`: the whole job, from a deletion request to a report."""

from typing import Annotated

import typer

from relearn.cli.common import (
    AllowUnanswered,
    Benchmark,
    Config,
    ModelName,
    Output,
    Overrides,
    console,
    end_with,
    print_notes,
    settings_of,
)


def run(
    output: Output,
    forget: Annotated[str | None, typer.Option(help="What to forget.")] = None,
    retain: Annotated[str | None, typer.Option(help="What to keep.")] = None,
    model: ModelName = None,
    benchmark: Benchmark = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Run folder of the request before: go on from its model, with its settings.",
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    allow_unanswered: AllowUnanswered = False,
) -> None:
    """Unlearn: from a deletion request to a report. Run the same command again to resume."""
    named = {
        "data.forget": forget,
        "data.retain": retain,
        "model.name": model,
        "benchmark": benchmark,
        "after": after,
    }
    settings = settings_of(config, named, overrides)
    from relearn.cli.outcome import print_outcome
    from relearn.run import run as run_all

    summary = run_all(settings, output)
    print_outcome(output, console)
    print_notes(summary["unlearned"], output / "evaluation" / "unlearned")
    console.print(f"report: {output / 'report.html'}", soft_wrap=True, highlight=False)
    end_with(summary["unanswered"].get("unlearned", []), allow_unanswered)
