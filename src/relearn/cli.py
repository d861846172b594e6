"""The command line: parse, call, print."""

import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from relearn import (
    __version__,
    cli_analyze,
    cli_audit,
    cli_check,
    cli_env,
    cli_forget_run,
    cli_handover,
    cli_judge,
    cli_list,
    cli_recipes,
    cli_reproduce,
    cli_results,
    cli_synthesize,
)
from relearn.base.distributed import by_leader, prints, process_count
from relearn.base.errors import UserError, unexpected
from relearn.base.extensions import load_extensions
from relearn.base.visible import Terminal
from relearn.base.workspace import check_unused
from relearn.cli_common import (
    AllowUnanswered,
    Benchmark,
    Config,
    ModelName,
    Output,
    Overrides,
    RunPath,
    Table,
    TrainedName,
    console,
    end_with,
    finished,
    given_extensions,
    settings_of,
)
from relearn.config import recipes

app = typer.Typer(
    help="Make a language model forget chosen knowledge by learning new answers, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_judge.app, name="judge")
app.add_typer(cli_recipes.app, name="recipes")


# Commands that may be started in several processes.
_IN_SEVERAL = ("run", "compare", "memorize", "evaluate", "audit", "analyze")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"relearn {__version__}")
        raise typer.Exit


@app.callback()
def before_a_command(
    context: typer.Context,
    extension: Annotated[
        list[str] | None,
        typer.Option(
            help="Python file with objectives, metrics, ... of your own; repeat for more."
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Load the user's own code; refuse several processes for a command that works in one."""
    given_extensions[:] = extension or []
    load_extensions(given_extensions)
    command = context.invoked_subcommand
    if process_count() > 1 and command not in _IN_SEVERAL:
        raise UserError(
            f"relearn {command} works in one process, not in {process_count()}.",
            "Start it without `accelerate launch`.",
        )


@app.command()
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
    from relearn.cli_outcome import print_outcome
    from relearn.run import run as run_all

    summary = run_all(settings, output)
    print_outcome(output, console)
    _print_which_perplexity(summary["unlearned"])
    _print_not_computed(output / "evaluation" / "unlearned")
    console.print(f"report: {output / 'report.html'}", soft_wrap=True, highlight=False)
    end_with(summary["unanswered"].get("unlearned", []), allow_unanswered)


app.command("check")(cli_check.check)


@app.command()
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


app.command("reproduce")(cli_reproduce.reproduce)
app.command()(cli_synthesize.synthesize)


@app.command()
def memorize(
    data: Annotated[str, typer.Option(help="The full data set to learn.")],
    output: Output,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Fine-tune a model on a full data set, to have a target model to unlearn from."""
    settings = settings_of(config, {"model.name": model}, overrides)
    import shutil

    from relearn.base.private import private_files
    from relearn.base.storage import atomic_path
    from relearn.config import MemorizeConfig
    from relearn.data.sources import load_sets
    from relearn.models.checks import check_model
    from relearn.models.loading import model_folder, tokenizer_named
    from relearn.training.checks import check_fit, check_training
    from relearn.training.memorize import memorize as make_target

    training = settings.memorize or MemorizeConfig()
    check_training(training)
    by_leader(lambda: check_unused(output))
    sets, asked = load_sets({"full": data}, settings.data, settings.model, tokenizer_named)
    blank = check_model(model_folder(asked.name), asked, [training], sets, {}, 0)
    check_fit(training, blank)
    target = make_target(sets["full"], asked, training, settings.seed)

    @private_files()
    def copy() -> None:
        with atomic_path(output) as temporary:
            shutil.copytree(target, temporary)

    by_leader(copy)
    console.print(f"target model: {output}", soft_wrap=True, highlight=False)


@app.command()
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
    _print_which_perplexity(metrics)
    _print_not_computed(output)


app.command("results")(cli_results.results)
app.command("audit")(cli_audit.audit)
app.command()(cli_analyze.analyze)


@app.command()
def report(run: RunPath) -> None:
    """Rewrite the report of a finished run."""
    from relearn.finished_run import load_run

    console.print(f"report: {load_run(run).report()}", soft_wrap=True, highlight=False)


app.command()(cli_handover.merge)
app.command()(cli_handover.push)


@app.command()
def chat(
    run: RunPath,
    question: Annotated[
        str | None,
        typer.Argument(help="Default: read questions from standard input, one per line."),
    ] = None,
    trained: TrainedName = "unlearned",
) -> None:
    """Ask the target model and the unlearned model, and show both answers side by side."""
    from relearn.chat import Pair

    pair = Pair(finished(run), trained)
    for text in [question] if question else (line.strip() for line in sys.stdin):
        if not text:
            continue
        before, after = pair.answers(text)
        # Model output is untrusted: shown as plain text, never as markup.
        table = Table("target", trained, title=Text(text))
        table.add_row(Text(before), Text(after))
        console.print(table)


app.command("forget-run")(cli_forget_run.forget_run)
app.command("list")(cli_list.list_)
app.command("env")(cli_env.env)


@app.command()
def fetch() -> None:
    """Download the embedded models to the cache, so that later commands need no network.

    Those that relearn uses unless told otherwise; a further one is fetched when it is named.
    """
    from relearn.store.embedded import EMBEDDED, embedded_folder

    for name in (name for name, model in EMBEDDED.items() if not model.on_demand):
        console.print(f"{name}: {embedded_folder(name)}", soft_wrap=True, highlight=False)


def _print_which_perplexity(names: Iterable[str]) -> None:
    """Say which perplexity the figures of that name, and of LS, are."""
    shown = {name.rpartition("/")[2] for name in names}
    if shown & {"perplexity", "ls"}:
        console.print("perplexity, ls: asked in the prompt format (chat template)", style="dim")
    if shown & {"plain_perplexity", "plain_ls"}:
        console.print("plain_perplexity, plain_ls: as plain text (the paper's code)", style="dim")


def _print_not_computed(evaluation: Path) -> None:
    """Print which metrics that were asked for have no value, and why."""
    from relearn.evaluation.scoring import read_not_computed

    for line in read_not_computed(evaluation):
        console.print(Text(line))


def main() -> None:
    """Run the command line; a mistake of the user's is one line and an exit code."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        app()
    except UserError as error:
        _end(error)
    except Exception as error:
        from accelerate.utils.memory import should_reduce_batch_size

        if should_reduce_batch_size(error):
            problem = "the memory does not hold the model with a single row."
            hint = "Take training.method=qlora, a lower training.max_length, or a larger machine."
            _end(UserError(problem, hint))
        if os.environ.get("RELEARN_FULL_ERRORS"):
            raise
        console = Terminal(stderr=True)
        console.print(Text(unexpected(error)), soft_wrap=True, highlight=False)
        console.print(
            "This is a bug in relearn or in a library. RELEARN_FULL_ERRORS=1 shows the whole "
            "message, which may quote your records.",
            style="red", soft_wrap=True,
        )  # fmt: skip
        sys.exit(1)


def _end(error: UserError) -> NoReturn:
    if not prints(error):
        sys.exit(2)
    Terminal(stderr=True).print(
        Text(f"error: {error}"), style="red", soft_wrap=True, highlight=False
    )
    sys.exit(error.exit_code)
