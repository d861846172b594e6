"""The command line: a file for each command, or for those that belong together."""

import os
import sys
import warnings
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from relearn import __version__
from relearn.base.distributed import prints, process_count
from relearn.base.errors import UserError, unexpected
from relearn.base.extensions import load_extensions
from relearn.base.visible import Terminal
from relearn.cli import (
    analyze,
    audit,
    chat,
    check,
    compare,
    env,
    evaluate,
    fetch,
    forget_run,
    handover,
    judge,
    lists,
    memorize,
    recipes,
    report,
    reproduce,
    results,
    run,
    synthesize,
)
from relearn.cli.common import given_extensions

app = typer.Typer(
    help="Make a language model forget chosen knowledge by learning new answers, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(judge.app, name="judge")
app.add_typer(recipes.app, name="recipes")
# In the order of --help: that of the work.
app.command()(run.run)
app.command()(check.check)
app.command()(compare.compare)
app.command()(reproduce.reproduce)
app.command()(synthesize.synthesize)
app.command()(memorize.memorize)
app.command()(evaluate.evaluate)
app.command()(results.results)
app.command()(audit.audit)
app.command()(analyze.analyze)
app.command()(report.report)
app.command()(handover.merge)
app.command()(handover.push)
app.command()(chat.chat)
app.command()(forget_run.forget_run)
app.command("list")(lists.list_)
app.command()(env.env)
app.command()(fetch.fetch)

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
