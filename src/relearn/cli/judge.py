"""`relearn judge`: ask a judge about text."""

from pathlib import Path
from typing import Annotated

import typer

from relearn.cli.common import BackendModel, BaseUrl, Config, Overrides, Table, console, settings_of

app = typer.Typer(help="Ask a judge about any text.", no_args_is_help=True)


@app.command()
def entailment(
    pairs: Annotated[
        Path,
        typer.Option("--input", help="Tab-separated, with the columns premise and hypothesis."),
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
        typer.Option(help="relevance, fluency, forgetting or retention; repeat for more."),
    ] = None,
    votes: Annotated[int, typer.Option(min=1, help="Votes per answer.")] = 3,
    backend: Annotated[
        str | None, typer.Option(help="Where the model runs: openai, transformers or vllm.")
    ] = None,
    llm: BackendModel = None,
    base_url: BaseUrl = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Have a language model rate answers from 1 to 5. Run the same command again to resume."""
    named = {
        "evaluation.backend": backend,
        "evaluation.llm.model": llm,
        "evaluation.llm.base_url": base_url,
    }
    settings = settings_of(config, named, overrides).evaluation
    from relearn.evaluation.judges.ratings_file import rate_file

    summaries = rate_file(generations, output, aspect, settings, votes)
    table = Table("set/aspect", *next(iter(summaries.values())))
    for name, figures in summaries.items():
        table.add_row(name, *(f"{value:.3f}".removesuffix(".000") for value in figures.values()))
    console.print(table)
