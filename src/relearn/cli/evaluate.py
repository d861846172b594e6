"""`relearn evaluate`: a model by a suite, or answers from any system."""

from pathlib import Path
from typing import Annotated

import typer

from relearn.base.errors import UserError
from relearn.cli.common import (
    Benchmark,
    Config,
    ModelName,
    Output,
    Overrides,
    Table,
    console,
    print_notes,
    settings_of,
)


def evaluate(
    output: Output,
    generations: Annotated[
        Path | None,
        typer.Option(help="File with answers from any system."),
    ] = None,
    model: ModelName = None,
    benchmark: Benchmark = None,
    suite: Annotated[
        str | None, typer.Option(help="Suite by name, or a YAML file. Default: relearn.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Folder with the suite's files, or SET=SOURCE.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Metric to compute instead of the suite's; repeat for more."),
    ] = None,
    retain_model: Annotated[
        str | None,
        typer.Option(help="Results of a model that was never trained on the forget set."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Results to compare with (paired tests); repeat for more."),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Evaluate a model with a suite, or score answers from any system without loading a model."""
    if generations and (benchmark or suite or data or metric or retain_model):
        raise UserError(
            "--benchmark, --suite, --data, --metric and --retain-model go with --model.",
            "Leave them out.",
        )
    named = {
        "model.name": model,
        "benchmark": benchmark,
        "evaluation.suite": suite,
        "evaluation.retain_model": retain_model,
    }
    settings = settings_of(config, named, overrides)
    from relearn.base.storage import read_json
    from relearn.evaluation.command import run_evaluation

    run_evaluation(
        settings,
        output,
        data=data or [],
        generations=generations,
        has_model=model is not None,
        metrics=metric or [],
        against=against or [],
    )
    metrics = read_json(output / "metrics.json")
    table = Table("metric", "value")
    for name, value in metrics.items():
        table.add_row(name, str(value) if name.endswith("_unmeasured") else f"{value:.4f}")
    console.print(table)
    print_notes(metrics, output)
