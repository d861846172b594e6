"""`relearn merge` and `relearn push`: the unlearned model for other programs and people."""

from typing import Annotated, Literal

import typer

from relearn.cli.common import Output, RunPath, TrainedName, console


def merge(
    run: RunPath,
    output: Output,
    trained: TrainedName = "unlearned",
    format_: Annotated[
        Literal["safetensors", "gguf"],
        typer.Option("--format", help="For transformers and vLLM, or for llama.cpp and Ollama."),
    ] = "safetensors",
    type_: Annotated[
        str, typer.Option("--type", help="Of a GGUF file's weights: f16 or q8_0.")
    ] = "f16",
    ties: Annotated[
        list[str] | None,
        typer.Option(help="Another trained model of the run to merge with TIES; repeat for more."),
    ] = None,
    density: Annotated[float, typer.Option(help="Fraction of each change that TIES keeps.")] = 0.8,
) -> None:
    """Write the unlearned model as a plain model folder, or as a GGUF file for Ollama."""
    from relearn.finished_run import load_run

    finished = load_run(run)
    if format_ == "gguf":
        finished.export_gguf(output, type_, trained, ties or (), density)
    else:
        finished.merge(output, trained, ties or (), density)
    console.print(f"merged model: {output}", soft_wrap=True, highlight=False)


def push(
    run: RunPath,
    repository: Annotated[str, typer.Argument(help="On the hub: org/name; made if need be.")],
    trained: TrainedName = "unlearned",
    adapter: Annotated[
        bool, typer.Option("--adapter", help="The adapter alone, not the merged model.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Make the repository public. Default: private.")
    ] = False,
) -> None:
    """Upload the model and its card, which has figures and no text, to a hub; never data."""
    from relearn.finished_run import load_run

    place = load_run(run).push_to_hub(repository, trained, merged=not adapter, private=not public)
    console.print(f"pushed to {place}", soft_wrap=True, highlight=False)
