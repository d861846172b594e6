"""`relearn chat`: the model before and after unlearning, side by side."""

import sys
from typing import Annotated

import typer
from rich.text import Text

from relearn.cli.common import RunPath, Table, TrainedName, console, finished


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
