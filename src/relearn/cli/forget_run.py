"""`relearn forget-run`: delete the private data of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from relearn.cli.common import RunPath, console

if TYPE_CHECKING:
    from relearn.forget_run import Plan


def forget_run(
    run: RunPath,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Delete a run's private data; keep hashes, figures and the unlearned model.

    Shows what goes and what it can't delete. Run the same command again if it was killed.
    """
    from relearn.forget_run import forget_run as forget
    from relearn.forget_run import plan

    _print(plan(run))
    if not yes and not typer.confirm("Delete this for good?"):
        raise typer.Exit(1)
    forget(run)
    console.print("The run's private data is deleted.", style="green")


def _print(found: "Plan") -> None:
    """Print what will be deleted, and what will not."""
    sizes: dict[Path, list[int]] = {}
    for place, size in found.deleted.items():
        sizes.setdefault(Path(*place.parts[:2]), []).append(size)
    _say(f"deletes from {found.run}:")
    for place, each in sizes.items():
        files = "1 file" if len(each) == 1 else f"{len(each)} files"
        _say(f"  {place} ({files}, {sum(each):,} bytes)")
    for link in found.links:
        _say(f"  {link} (a link: what it leads to stays)")
    if found.cached:
        _say("deletes from the cache, also for other runs on the same data:")
        for place in found.cached:
            _say(f"  {place}")
    if found.merged:
        _say(f"first merges the unlearned model, which needs its target, into {found.run}/released")
    _say("keeps hashes, figures and the unlearned model")
    _say("can't delete:")
    for line in found.out_of_reach:
        _say(f"  {line}")


def _say(line: str) -> None:
    console.print(Text(line), soft_wrap=True, highlight=False)
