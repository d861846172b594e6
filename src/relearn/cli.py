"""The command line: parse, call, print."""

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from relearn.config import RunConfig, describe_settings, load_config
from relearn.distributed import is_leader
from relearn.errors import UserError

app = typer.Typer(
    help="Make a language model forget chosen knowledge by learning new answers, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
console = Console(quiet=not is_leader())

Config = Annotated[Path | None, typer.Option("--config", help="YAML configuration.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Override, e.g. training.epochs=3."),
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", help="Embedded model, hub name, local folder or .gguf file."),
]
Output = Annotated[Path, typer.Option("--output", help="Folder to write to.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
TrainedName = Annotated[
    str, typer.Option("--trained", help="Which trained model: unlearned, or a baseline's name.")
]


@app.command()
def run(
    output: Output,
    forget: Annotated[str | None, typer.Option(help="What is to be forgotten.")] = None,
    retain: Annotated[str | None, typer.Option(help="What is to be kept.")] = None,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Unlearn: from a deletion request to a report. The same command resumes a killed run."""
    named = {"data.forget": forget, "data.retain": retain, "model.name": model}
    settings = _settings(config, named, overrides)
    from relearn.run import run as run_all

    summary = run_all(settings, output)
    _print_summary(summary)
    console.print(f"report: {output / 'report.html'}", soft_wrap=True, highlight=False)


@app.command()
def compare(
    output: Output,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="Objective to compare; may be given again. Without it all are."),
    ] = None,
    forget: Annotated[str | None, typer.Option(help="What is to be forgotten.")] = None,
    retain: Annotated[str | None, typer.Option(help="What is to be kept.")] = None,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Compare objectives on the same data, by default all of them on the sample data."""
    from relearn.comparison import compare as compare_objectives
    from relearn.comparison import default_comparison
    from relearn.report.glossary import MAIN_FIGURES

    named = {"data.forget": forget, "data.retain": retain, "model.name": model}
    # The sample's people do not exist and must be learned first; the user's are known already.
    known = ["memorize=null"] if forget and not config else []
    settings = _settings(config or default_comparison(), named, [*known, *(overrides or [])])
    rows, failed = compare_objectives(settings, objective or [], output)
    table = Table("objective", *MAIN_FIGURES.values())
    for row in rows:
        values = [row.get(column) for column in MAIN_FIGURES]
        table.add_row(row["name"], *("" if v is None else f"{v:.3f}" for v in values))
    console.print(table)
    for name, reason in failed.items():
        console.print(Text(f"{name} is left out: {reason}"), soft_wrap=True)
    console.print(f"report: {output / 'report.html'}", soft_wrap=True, highlight=False)


@app.command()
def memorize(
    data: Annotated[str, typer.Option(help="The full set to learn.")],
    output: Output,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Fine-tune a model on the full set, to have a target model to unlearn from."""
    settings = _settings(config, {"model.name": model}, overrides)
    import shutil

    from relearn.config import MemorizeConfig
    from relearn.data.sources import load_records
    from relearn.storage import atomic_path
    from relearn.training.memorize import memorize as make_target

    _check_unused(output)
    records = load_records(data, settings.data.columns, "full")
    target = make_target(
        records, settings.model, settings.memorize or MemorizeConfig(), settings.seed
    )
    with atomic_path(output) as temporary:
        shutil.copytree(target, temporary)
    console.print(f"target model: {output}", soft_wrap=True, highlight=False)


@app.command()
def evaluate(
    generations: Annotated[Path, typer.Option(help="JSON lines that any system wrote.")],
    output: Output,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Score answers that any system wrote; no language model is loaded."""
    settings = _settings(config, {}, overrides)
    from relearn.evaluation.scoring import evaluate_generations

    metrics = evaluate_generations(generations, output, settings.evaluation)
    table = Table("metric", "value")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    console.print(table)


@app.command()
def report(run: RunPath) -> None:
    """Write the report of a finished run anew."""
    from relearn.report import write_report

    console.print(f"report: {write_report(_finished(run))}", soft_wrap=True, highlight=False)


@app.command()
def merge(
    run: RunPath,
    output: Output,
    trained: TrainedName = "unlearned",
    ties: Annotated[
        list[str] | None,
        typer.Option(help="Another trained model of the run, merged in by TIES; again for more."),
    ] = None,
    density: Annotated[float, typer.Option(help="Share of each change that TIES keeps.")] = 0.8,
) -> None:
    """Write the unlearned model as a plain folder that transformers loads without relearn."""
    from relearn.models.merging import write_merged, write_ties
    from relearn.report import write_model_card
    from relearn.run_folder import adapter_folder, target_folder
    from relearn.storage import atomic_path

    adapters = [adapter_folder(_finished(run), name) for name in (trained, *(ties or []))]
    _check_unused(output)
    model, target = load_config(run / "config.yaml").model, target_folder(run)
    with atomic_path(output) as temporary:
        if ties:
            write_ties(target, adapters, temporary, model, density)
        else:
            write_merged(target, adapters[0], temporary, model)
        write_model_card(run, temporary)
    console.print(f"merged model: {output}", soft_wrap=True, highlight=False)


@app.command()
def chat(
    run: RunPath,
    question: Annotated[
        str | None, typer.Argument(help="Without it, questions are read line by line.")
    ] = None,
    trained: TrainedName = "unlearned",
) -> None:
    """Ask the target and the unlearned model, and see their answers side by side."""
    from relearn.chat import Pair

    pair = Pair(_finished(run), trained)
    for text in [question] if question else (line.strip() for line in sys.stdin):
        if not text:
            continue
        before, after = pair.answers(text)
        # Model output is untrusted: shown as plain text, never as markup.
        table = Table("target", trained, title=Text(text))
        table.add_row(Text(before), Text(after))
        console.print(table)


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="objectives, metrics, models or settings.")],
) -> None:
    """List what there is by name, with one line each."""
    if kind == "settings":
        table = Table("setting", "default", "")
        for name, (default, text) in describe_settings().items():
            table.add_row(name, default, text)
    else:
        table = Table(kind, "")
        for name, summary in _registry(kind).items():
            table.add_row(name, summary)
    console.print(table)


@app.command()
def fetch() -> None:
    """Fetch the embedded models into the cache, so that later commands need no network."""
    from relearn.models.embedded import EMBEDDED, embedded_folder

    for name in EMBEDDED:
        console.print(f"{name}: {embedded_folder(name)}", soft_wrap=True, highlight=False)


def _registry(kind: str) -> dict[str, str]:
    if kind == "objectives":
        from relearn.objectives import OBJECTIVES

        return OBJECTIVES.summaries()
    if kind == "metrics":
        from relearn.evaluation.metrics import METRICS

        return METRICS.summaries()
    if kind == "models":
        from relearn.models.embedded import EMBEDDED

        return {name: model.summary for name, model in EMBEDDED.items()}
    raise UserError(
        f"there is no list of {kind!r}.", "Known: objectives, metrics, models, settings."
    )


def _settings(
    config: Path | None, named: dict[str, str | None], overrides: list[str] | None
) -> RunConfig:
    """Return the configuration: file, then named options, then `--set`."""
    given = {field: value for field, value in named.items() if value is not None}
    return load_config(config, overrides or [], given)


def _check_unused(output: Path) -> None:
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(f"output folder {output} is already used.", "Choose another --output.")


def _finished(run: Path) -> Path:
    if not (run / "summary.json").is_file():
        raise UserError(f"{run} is no finished run.", "Finish it with `relearn run`.")
    return run


def _print_summary(summary: dict[str, Any]) -> None:
    """Print the figures before and after, a row a metric."""
    models = {
        "target": summary["target"],
        "unlearned": summary["unlearned"],
        **summary["baselines"],
    }
    table = Table("metric", *models)
    for metric in summary["target"]:
        values = [figures.get(metric) for figures in models.values()]
        table.add_row(metric, *("" if v is None else f"{v:.3f}" for v in values))
    console.print(table)


def main() -> None:
    """Run the command line; a mistake of the user's is one line and exit code 2."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        app()
    except UserError as error:
        Console(stderr=True).print(
            Text(f"error: {error}"), style="red", soft_wrap=True, highlight=False
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
