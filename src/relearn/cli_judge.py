"""`relearn judge`: what judges say about text, by themselves."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from relearn.config import load_config

app = typer.Typer(help="Ask a judge about text of any origin.", no_args_is_help=True)
console = Console()


@app.command()
def entailment(
    pairs: Annotated[
        Path, typer.Option("--input", help="Tab-separated, with columns premise and hypothesis.")
    ],
    output: Annotated[Path, typer.Option(help="File to write, .tsv or .jsonl.")],
    judge: Annotated[
        str, typer.Option(help="minilm-nli, or a cross-encoder by hub name or folder.")
    ] = "minilm-nli",
) -> None:
    """Label pairs: entailment, neutral or contradiction, with the probability of each."""
    from relearn.evaluation.judges.pair_files import label_file

    table = Table("label", "pairs")
    for label, count in label_file(pairs, output, judge).items():
        table.add_row(label, str(count))
    console.print(table)


@app.command()
def rate(
    generations: Annotated[Path, typer.Option(help="Answers, as for `relearn evaluate`.")],
    output: Annotated[Path, typer.Option(help="File to write, JSON lines.")],
    aspect: Annotated[
        list[str] | None,
        typer.Option(help="relevance, fluency, forgetting or retention; may be given repeatedly."),
    ] = None,
    votes: Annotated[int, typer.Option(min=1, help="Votes on each answer.")] = 3,
    backend: Annotated[
        str | None, typer.Option(help="Where the model is: openai, transformers, vllm.")
    ] = None,
    llm: Annotated[str | None, typer.Option(help="The backend's model.")] = None,
    base_url: Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="YAML configuration.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override.")
    ] = None,
) -> None:
    """Have a language model rate answers from 1 to 5. The same command resumes a killed job."""
    named = {
        "evaluation.backend": backend,
        "evaluation.llm.model": llm,
        "evaluation.llm.base_url": base_url,
    }
    given = {field: value for field, value in named.items() if value is not None}
    settings = load_config(config, overrides or [], given).evaluation
    from relearn.evaluation.judges.ratings_file import rate_file

    summaries = rate_file(generations, output, aspect, settings, votes)
    table = Table("set/aspect", *next(iter(summaries.values())))
    for name, figures in summaries.items():
        table.add_row(name, *(f"{value:.3f}".removesuffix(".000") for value in figures.values()))
    console.print(table)
