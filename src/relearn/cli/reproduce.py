"""`relearn reproduce`: an experiment with several seeds, and its table."""

from pathlib import Path
from typing import Annotated

import typer

from relearn.base.errors import UserError
from relearn.cli.common import Output, Overrides, Table, console, settings_of


def reproduce(
    name: Annotated[str, typer.Argument(help="A recipe (`relearn recipes`), or a YAML file.")],
    output: Output,
    seed: Annotated[
        list[int] | None, typer.Option(help="A seed; again for more. Default: 0, 1 and 2.")
    ] = None,
    docs: Annotated[
        Path | None,
        typer.Option(help="Also write results/NAME.json and the table in results.md here."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Run an experiment with several seeds: figures with intervals. Resumes where it was killed."""
    seeds = seed if seed else [0, 1, 2]
    if len(set(seeds)) < len(seeds):
        raise UserError("a seed is given twice.", "Give each --seed once.")
    if docs and not docs.is_dir():
        raise UserError(f"--docs: {docs} is no folder.", "Give one that exists.")
    settings = settings_of(Path(name), {}, overrides)
    from relearn.experiment import reproduce as run_experiment
    from relearn.experiment import write_docs

    results = run_experiment(Path(name).stem, settings, seeds, output)
    models = results["models"]
    figures = list(dict.fromkeys(figure for each in models.values() for figure in each))
    shown = Table("", *models)
    for figure in figures:
        cells = (each.get(figure) for each in models.values())
        shown.add_row(figure, *("" if cell is None else f"{cell['mean']:.3g}" for cell in cells))
    console.print(shown)
    if docs:
        write_docs(docs, results)
    console.print(f"results: {output / 'results.json'}", soft_wrap=True, highlight=False)
