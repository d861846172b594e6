"""`relearn synthesize`: verified new answers for a forget set."""

from typing import Annotated, Any

import typer
from rich.text import Text

from relearn.cli.common import (
    AllowUnanswered,
    BackendModel,
    BaseUrl,
    Config,
    ModelName,
    Output,
    Overrides,
    Table,
    console,
    end_with,
    settings_of,
)


def synthesize(
    forget: Annotated[str, typer.Option(help="What to forget.")],
    output: Output,
    backend: Annotated[
        str | None, typer.Option(help="What writes the text: rules, openai, transformers or vllm.")
    ] = None,
    llm: BackendModel = None,
    base_url: BaseUrl = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only estimate calls, tokens and cost; send and write nothing."
        ),
    ] = False,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
    allow_unanswered: AllowUnanswered = False,
) -> None:
    """Write verified new answers for a forget set. Run the same command again to resume."""
    named = {
        "synthesis.backend": backend,
        "synthesis.llm.model": llm,
        "synthesis.llm.base_url": base_url,
        "model.name": model,
    }
    settings = settings_of(config, named, overrides)
    from relearn.synthesis.backends import BACKENDS
    from relearn.synthesis.command import run_synthesis, synthesis_sets
    from relearn.synthesis.plan import plan

    BACKENDS.named(settings.synthesis.backend)
    sets, base = synthesis_sets(settings, forget)
    if dry_run:
        _print_plan(plan(sets["forget"], settings.synthesis, settings.seed, output))
        return
    result = run_synthesis(settings, sets, base, output)
    _print_synthesis(result.summary)
    console.print(f"training set: {output / 'augmented.jsonl'}", soft_wrap=True, highlight=False)
    end_with(result.summary["records_without_answer"], allow_unanswered)


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
    console.print("Each candidate that fails verification costs one more call.")


def _print_synthesis(summary: dict[str, Any]) -> None:
    """Print the counts of a synthesis."""
    table = Table("", "")
    for name in ("records", "accepted", "rejected", "distinct_2", "self_bleu", "mean_similarity"):
        table.add_row(name.replace("_", " "), str(summary[name]))
    for name, count in (summary["kinds"] | summary["reasons"]).items():
        table.add_row(Text(f"  {name}"), str(count))
    console.print(table)
