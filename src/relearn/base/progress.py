"""Progress bars and notes, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from relearn.base.distributed import is_leader
from relearn.base.visible import Terminal

# Of several processes one shows its progress.
console = Terminal(stderr=True, quiet=not is_leader())

_told: set[str] = set()


def note(text: str) -> None:
    """Tell the user, once, what was done with the input; never with the text of a record."""
    if text not in _told:
        _told.add(text)
        console.print(Text(f"note: {text}."), soft_wrap=True, highlight=False)


@contextmanager
def progress_bar(title: str | None) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar; yields a function to call with steps done, steps in all, and a note.

    Without a title nothing is shown.

    Where standard error is not a terminal, one line says when the work begins and when it is done.
    """
    if title and not console.is_terminal:
        console.print(f"{title} …", highlight=False)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(
        *columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        console=console, disable=not (title and console.is_terminal),
    ) as progress:  # fmt: skip
        task = progress.add_task(title or "", note="", total=None)

        def advance(done: int, total: int, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield advance
