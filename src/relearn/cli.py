"""The command line: parse, call, print."""

import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from relearn import cli_audit, cli_judge
from relearn.base.distributed import by_leader, is_leader, prints, process_count
from relearn.base.errors import UnansweredError, UserError, listed
from relearn.config import RunConfig, describe_settings, load_config

app = typer.Typer(
    help="Make a language model forget chosen knowledge by learning new answers, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(cli_judge.app, name="judge")
app.command("audit")(cli_audit.audit)
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
AllowUnanswered = Annotated[
    bool,
    typer.Option(
        "--allow-unanswered",
        help="Exit with 0, not 4, where records got no new answer and stay in the model.",
    ),
]
TrainedName = Annotated[
    str, typer.Option("--trained", help="Which trained model: unlearned, or a baseline's name.")
]


@app.callback()
def check_processes(context: typer.Context) -> None:
    """Refuse several processes where only one would work."""
    command = context.invoked_subcommand
    if process_count() > 1 and command not in ("run", "compare", "memorize"):
        raise UserError(
            f"relearn {command} works in one process, not in {process_count()}.",
            "Start it without `accelerate launch`.",
        )


@app.command()
def run(
    output: Output,
    forget: Annotated[str | None, typer.Option(help="What is to be forgotten.")] = None,
    retain: Annotated[str | None, typer.Option(help="What is to be kept.")] = None,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
    allow_unanswered: AllowUnanswered = False,
) -> None:
    """Unlearn: from a deletion request to a report. The same command resumes a killed run."""
    named = {"data.forget": forget, "data.retain": retain, "model.name": model}
    settings = _settings(config, named, overrides)
    from relearn.cli_outcome import print_outcome
    from relearn.run import run as run_all

    summary = run_all(settings, output)
    print_outcome(output, console)
    _print_which_perplexity(summary["unlearned"])
    _print_not_computed(output / "evaluation" / "unlearned")
    console.print(f"report: {output / 'report.html'}", soft_wrap=True, highlight=False)
    _end_with(summary["unanswered"].get("unlearned", []), allow_unanswered)


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
    allow_unanswered: AllowUnanswered = False,
) -> None:
    """Compare objectives on the same data, by default all of them on the sample data."""
    from relearn.base.storage import read_json
    from relearn.comparison import compare as compare_objectives
    from relearn.comparison import default_comparison
    from relearn.report.glossary import MAIN_FIGURES

    if not config and bool(forget) != bool(retain):
        raise UserError(
            "one of the two sets is missing.", "Give --forget and --retain, or neither."
        )
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
    unanswered = read_json(output / "compare.json")["unanswered"].values()
    _end_with(sorted({id_ for ids in unanswered for id_ in ids}), allow_unanswered)


@app.command()
def synthesize(
    forget: Annotated[str, typer.Option(help="What is to be forgotten.")],
    output: Output,
    backend: Annotated[
        str | None, typer.Option(help="Where text comes from: rules, openai, transformers, vllm.")
    ] = None,
    llm: Annotated[str | None, typer.Option(help="The backend's model.")] = None,
    base_url: Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count calls and tokens; send and write nothing.")
    ] = False,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
    allow_unanswered: AllowUnanswered = False,
) -> None:
    """Write verified new answers for a forget set. The same command resumes a killed job."""
    named = {
        "synthesis.backend": backend,
        "synthesis.llm.model": llm,
        "synthesis.llm.base_url": base_url,
        "model.name": model,
    }
    settings = _settings(config, named, overrides)
    from relearn.base.progress import note
    from relearn.data.checks import check_sets
    from relearn.data.sources import load_sets
    from relearn.models.loading import model_folder
    from relearn.synthesis.backends import BACKENDS
    from relearn.synthesis.checks import check_synthesis, reserved_questions
    from relearn.synthesis.fluency import fluency
    from relearn.synthesis.folder import synthesize_into
    from relearn.synthesis.mixing import answerer
    from relearn.synthesis.plan import plan

    BACKENDS.named(settings.synthesis.backend)
    # The other sets, where the configuration has them: no variant may repeat their questions.
    others = settings.data.model_dump(include={"retain", "forget_unseen", "retain_unseen"})
    sources = {"forget": forget} | {name: source for name, source in others.items() if source}
    sets, base = load_sets(sources, settings.data, settings.model)
    records = sets["forget"]
    for line in check_sets(sets):
        note(line)
    if dry_run:
        _print_plan(plan(records, settings.synthesis, settings.seed, output))
        return
    check_synthesis(settings.synthesis, settings.seed, records)
    synthesis = settings.synthesis
    result = synthesize_into(
        output,
        records,
        synthesis,
        settings.seed,
        answer=answerer(model_folder(base.name), base) if synthesis.self_distilled else None,
        fluency=fluency(model_folder(base.name), base) if synthesis.max_perplexity else None,
        reserved=reserved_questions(sets),
    )
    _print_synthesis(result.summary)
    console.print(f"training set: {output / 'augmented.jsonl'}", soft_wrap=True, highlight=False)
    _end_with(result.summary["records_without_answer"], allow_unanswered)


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

    from relearn.base.storage import atomic_path
    from relearn.config import MemorizeConfig
    from relearn.data.sources import load_sets
    from relearn.models.checks import check_model
    from relearn.models.loading import model_folder
    from relearn.training.checks import check_fit, check_training
    from relearn.training.memorize import memorize as make_target

    training = settings.memorize or MemorizeConfig()
    check_training(training)
    by_leader(lambda: _check_unused(output))
    sets, asked = load_sets({"full": data}, settings.data, settings.model)
    blank = check_model(model_folder(asked.name), asked, [training], sets, {}, 0)
    check_fit(training, blank)
    target = make_target(sets["full"], asked, training, settings.seed)

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
        typer.Option(help="File of answers that any system wrote."),
    ] = None,
    model: ModelName = None,
    suite: Annotated[
        str | None, typer.Option(help="Suite by name, or a YAML file; relearn by default.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Folder of the suite's files, or SET=SOURCE.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Take these metrics, not the suite's.")
    ] = None,
    retain_model: Annotated[
        Path | None, typer.Option(help="Results of a model that never saw the forget set.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Results to compare with, by paired tests.")
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Evaluate a model by a suite, or score answers that any system wrote, with no model loaded."""
    if (generations is None) == (model is None):
        raise UserError("evaluate takes either --generations or --model.", "Give one of them.")
    if generations and (suite or data or metric or retain_model):
        raise UserError(
            "--suite, --data, --metric and --retain-model go with --model.", "Leave them out."
        )
    named = {"model.name": model, "evaluation.suite": suite}
    settings = _settings(config, named, overrides)
    from relearn.evaluation.evaluate import read_evaluated_rows, write_comparison

    others = {str(folder): folder for folder in against or []}
    for folder in [*others.values(), *([retain_model] if retain_model else [])]:
        read_evaluated_rows(folder)  # a mistake is found before anything is computed
    if generations:
        from relearn.evaluation.scoring import evaluate_generations

        metrics = evaluate_generations(generations, output, settings.evaluation)
    else:
        from relearn.evaluation.evaluate import evaluate_named

        metrics = evaluate_named(settings, data or [], metric or [], output, retain_model)
    if others:
        write_comparison(output, others)
    table = Table("metric", "value")
    for name, value in metrics.items():
        table.add_row(name, str(value) if name.endswith("_unmeasured") else f"{value:.4f}")
    console.print(table)
    _print_which_perplexity(metrics)
    _print_not_computed(output)


@app.command()
def report(run: RunPath) -> None:
    """Write the report of a finished run again."""
    from relearn.report import write_report

    console.print(f"report: {write_report(_finished(run))}", soft_wrap=True, highlight=False)


@app.command()
def analyze(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Run folder; or further NAME=PATH with --models."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="Instead of a run: models to compare, two or more."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="With --models: what is to be forgotten.")
    ] = None,
    retain: Annotated[str | None, typer.Option(help="With --models: what is to be kept.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder to write to; default RUN/analysis.")
    ] = None,
    prompts: Annotated[int, typer.Option(min=1, help="Questions of each set that are used.")] = 24,
) -> None:
    """Look inside two or more models: why it forgets. The same command resumes a killed one."""
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
        raise UserError("nothing to analyse.", "Name one run folder, or give --models and --data.")
    summary = run_analysis(subject, output, AnalysisSettings(prompts=prompts))
    for claim in summary["claims"]:
        console.print(Text(f"{claim['name']}: {claim['verdict']}. {claim['evidence']}"))
    if run is not None and output == run / "analysis":
        console.print(f"report: {write_report(run)}", soft_wrap=True, highlight=False)
    console.print(f"analysis: {output}", soft_wrap=True, highlight=False)


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
    from relearn.base.storage import atomic_path
    from relearn.models.merging import write_merged, write_ties
    from relearn.report import write_model_card
    from relearn.run_folder import adapter_folder, target_folder

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
    kind: Annotated[
        str,
        typer.Argument(
            help="objectives, wrappers, metrics, attacks, suites, judges, models, settings."
        ),
    ],
) -> None:
    """List what there is by name, with one line each."""
    if kind == "settings":
        table = Table("setting", "default", "")
        for name, (default, text) in describe_settings().items():
            table.add_row(name, default, text)
    else:
        options = _options(kind)
        table = Table(kind, "", *(["options"] if options else []))
        for name, summary in _registry(kind).items():
            table.add_row(name, summary, *([options[name]] if options else []))
    console.print(table)


@app.command()
def fetch() -> None:
    """Fetch the embedded models into the cache, so that later commands need no network."""
    from relearn.store.embedded import EMBEDDED, embedded_folder

    for name in EMBEDDED:
        console.print(f"{name}: {embedded_folder(name)}", soft_wrap=True, highlight=False)


def _registry(kind: str) -> dict[str, str]:
    if kind == "objectives":
        from relearn.objectives import OBJECTIVES

        return OBJECTIVES.summaries()
    if kind == "wrappers":
        from relearn.training.wrappers import WRAPPERS

        return WRAPPERS.summaries()
    if kind == "metrics":
        from relearn.evaluation.metrics import METRICS

        return METRICS.summaries()
    if kind == "attacks":
        from relearn.audit import ATTACKS

        return ATTACKS.summaries()
    if kind == "suites":
        from relearn.evaluation.suites import load_suite, suite_names

        return {name: load_suite(name).description for name in suite_names()}
    if kind == "judges":
        from relearn.evaluation.judges import summaries

        return summaries()
    if kind == "models":
        from relearn.store.embedded import EMBEDDED

        return {name: model.summary for name, model in EMBEDDED.items()}
    raise UserError(
        f"there is no list of {kind!r}.",
        "Known: objectives, wrappers, metrics, attacks, suites, judges, models, settings.",
    )


def _options(kind: str) -> dict[str, str]:
    """Return the options of each objective or wrapper with default, type and range, by name."""
    if kind == "objectives":
        from relearn.objectives import OBJECTIVES

        options = {name: entry.options for name, entry in OBJECTIVES.items()}
    elif kind == "wrappers":
        from relearn.training.wrappers import WRAPPERS

        options = {name: entry.options for name, entry in WRAPPERS.items()}
    else:
        return {}
    return {
        name: "\n".join(f"{o} = {each.defaults[o]}: {text}" for o, text in each.describe().items())
        for name, each in options.items()
    }


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
    from relearn.run_folder import check_finished

    check_finished(run)
    return run


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


def _end_with(unanswered: list[str], allowed: bool) -> None:
    """Say which forget records stay in the model, and exit with 4 unless that is allowed."""
    if not unanswered:
        return
    records = "1 record was" if len(unanswered) == 1 else f"{len(unanswered)} records were"
    console.print(
        Text(
            f"{records} not unlearned: synthesis found no new answer for "
            f"{listed(unanswered)}. See rejected.jsonl for the reasons; raise synthesis.attempts, "
            "change the backend, or reword the questions."
        ),
        style="red",
        soft_wrap=True,
    )
    if not allowed:
        raise typer.Exit(UnansweredError.exit_code)


def _print_plan(steps: dict[str, Any]) -> None:
    """Print what a synthesis would ask of its language model."""
    table = Table("step", "calls", "tokens sent, about", "tokens received, at most", "cost")
    total = [0, 0, 0, 0.0]
    for name, step in steps.items():
        row = [step.calls, step.prompt_tokens, step.completion_tokens, step.cost]
        total = [a + (b or 0) for a, b in zip(total, row, strict=True)]
        table.add_row(name, *("" if v is None else f"{v:,.2f}".removesuffix(".00") for v in row))
    table.add_row("in all", *(f"{v:,.2f}".removesuffix(".00") for v in total))
    console.print(table)
    console.print("Each candidate that fails the verification costs one call more.")


def _print_synthesis(summary: dict[str, Any]) -> None:
    """Print the counts of a synthesis."""
    table = Table("", "")
    for name in ("records", "accepted", "rejected", "distinct_2", "self_bleu", "mean_similarity"):
        table.add_row(name.replace("_", " "), str(summary[name]))
    for name, count in (summary["kinds"] | summary["reasons"]).items():
        table.add_row(Text(f"  {name}"), str(count))
    console.print(table)


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
        if not prints(error):
            sys.exit(2)
        Console(stderr=True).print(
            Text(f"error: {error}"), style="red", soft_wrap=True, highlight=False
        )
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
