"""What the commands share: options, the terminal, and how a command ends."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import rich.table
import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from relearn.base.distributed import is_leader
from relearn.base.errors import UnansweredError, listed
from relearn.base.extensions import load_extensions
from relearn.base.visible import Terminal
from relearn.config import RunConfig, load_config

console = Terminal(quiet=not is_leader())
given_extensions: list[str] = []
"""Files of `--extension`, which comes before the command; a run keeps them in its settings."""


_FIGURE = 11  # characters of a column with figures, with its edges


class Table(rich.table.Table):
    """A table that cuts no name or figure short, in however narrow a terminal.

    The first column, of names, stays whole if that leaves room for figures in the others; what
    does not fit goes on in the next line.
    """

    def add_column(self, *args: Any, **kwargs: Any) -> None:
        """Add a column as rich does, that folds."""
        super().add_column(*args, **{"overflow": "fold", **kwargs})

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = [cell.renderable for cell in self._get_cells(console, 0, self.columns[0])]
        widest = max(Measurement.get(console, options, name).maximum for name in names)
        others = (len(self.columns) - 1) * _FIGURE
        self.columns[0].width = min(widest, max(options.max_width - others, _FIGURE))
        yield from super().__rich_console__(console, options)


Config = Annotated[
    Path | None, typer.Option("--config", help="YAML file, or the name of a recipe.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Override a setting, e.g. training.epochs=3; repeat for more.",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", help="Embedded model, hub name, local folder or .gguf file."),
]
Benchmark = Annotated[
    str | None,
    typer.Option("--benchmark", help="Benchmark by name: `relearn list benchmarks`."),
]
BackendModel = Annotated[str | None, typer.Option("--llm", help="Language model of the backend.")]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", help="URL of an OpenAI-compatible endpoint.")
]
Output = Annotated[Path, typer.Option("--output", help="Folder to write to.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
AllowUnanswered = Annotated[
    bool,
    typer.Option(
        "--allow-unanswered",
        help="Exit with 0, not 4, if records got no new answer and so stay in the model.",
    ),
]
TrainedName = Annotated[
    str,
    typer.Option("--trained", help="Which trained model: unlearned, or the name of a baseline."),
]


def settings_of(
    config: Path | None, named: dict[str, str | None], overrides: list[str] | None
) -> RunConfig:
    """Return the configuration: file, then named options, then `--set`; load its extensions.

    With `after`, what none of them sets is taken from that run.
    """
    given = {field: value for field, value in named.items() if value is not None}
    settings = load_config(config, overrides or [], given, inherit=True)
    files = [*dict.fromkeys([*given_extensions, *settings.extensions])]
    load_extensions(files)
    return settings.model_copy(update={"extensions": files})


def finished(run: Path) -> Path:
    """Return the folder of a finished run; any other is refused."""
    from relearn.run_folder import check_finished

    check_finished(run)
    return run


def print_notes(names: Iterable[str], evaluation: Path) -> None:
    """Print which perplexity the figures `names` are, and which metrics have no value, and why."""
    from relearn.evaluation.scoring import read_not_computed

    shown = {name.rpartition("/")[2] for name in names}
    if shown & {"perplexity", "ls"}:
        console.print("perplexity, ls: asked in the prompt format (chat template)", style="dim")
    if shown & {"plain_perplexity", "plain_ls"}:
        console.print("plain_perplexity, plain_ls: as plain text (the paper's code)", style="dim")
    for line in read_not_computed(evaluation):
        console.print(Text(line))


def end_with(unanswered: list[str], allowed: bool) -> None:
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
