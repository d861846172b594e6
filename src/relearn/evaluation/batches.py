"""Work in batches, each on disk the moment it is done, so that a killed evaluation loses one."""

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from relearn.base.distributed import by_leader, everyones, is_leader, share
from relearn.base.errors import UserError
from relearn.base.progress import progress_bar
from relearn.base.storage import (
    append_line,
    content_hash,
    disk_errors,
    read_appended,
    read_json,
    write_json,
)
from relearn.base.workspace import Workspace
from relearn.inference.length_batches import within_memory

T = TypeVar("T")

_KEY = "key.json"


def in_batches(
    items: Sequence[T],
    work: Callable[[Sequence[T]], Sequence[Any]],
    size: int,
    *,
    file: Path | None = None,
    title: str | None = None,
) -> list[Any]:
    """Do `work` on all items, batch after batch; several processes share the batches.

    A batch that memory does not hold is done in halves.

    Args:
        items: JSON values; a finished batch is known again by what is in it.
        work: From a batch to a JSON value for each of its items, which does not depend on those
            beside it.
        size: Items of a batch.
        file: Of finished batches, one a line; what is in it is not done again. None keeps none.
            Each further process has its own, beside it.
        title: Of the progress bar; None shows none.

    Returns:
        The value of each item.

    Raises:
        UserError: the file can't be written, and whatever `work` raises.
    """
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    keys = [content_hash(list(batch)) for batch in batches]
    # Read by one for all: another may have begun to write.
    done = by_leader(lambda: _finished(file))
    missing = {key: batch for key, batch in zip(keys, batches, strict=True) if key not in done}
    process, processes = share()
    mine = list(missing)[process::processes]
    made: dict[str, list[Any]] = {}
    with ExitStack() as stack:
        advance = stack.enter_context(progress_bar(title))
        kept = None
        if file:
            stack.enter_context(disk_errors(file))
            own = file.with_suffix(f".{process}{file.suffix}") if process else file
            kept = stack.enter_context(own.open("a"))
        for number, key in enumerate(mine, 1):
            made[key] = within_memory(work, list(missing[key]))
            if kept:
                append_line(kept, {"batch": key, "values": made[key]})
            advance(len(batches) - len(mine) + number, len(batches), "")
        for each in everyones(made):
            done |= each
    return [value for key in keys for value in done[key]]


def _finished(file: Path | None) -> dict[str, list[Any]]:
    """Return the batches in `file` and the other processes' files beside it."""
    if file is None:
        return {}
    done: dict[str, list[Any]] = {}
    for each in (file, *file.parent.glob(f"{file.stem}.*{file.suffix}")):
        done |= {line["batch"]: line["values"] for line in read_appended(each)}
    return done


@contextmanager
def finished_batches(output: Path, key: str) -> Iterator[Path]:
    """Yield a folder in `output` for the finished batches of one evaluation, made or taken up.

    The leader takes it for all processes. It is gone once the evaluation's results are written, or
    if it fails before its first batch.

    Args:
        output: Folder of the results.
        key: Hash of all that finished batches depend on, so that two evaluations don't mix.

    Raises:
        UserError: `output` holds something else, or another process evaluates into it.
    """
    parts = output / "parts"
    existed = output.exists()

    def is_ours(names: Collection[str]) -> bool:
        return (parts / _KEY).is_file() or set(names) == {parts.name}

    workspace = Workspace(output, "this evaluation", is_ours)

    def take() -> None:
        workspace.acquire()
        if not (parts / _KEY).is_file():
            write_json(parts / _KEY, key)
        if read_json(parts / _KEY) != key:
            raise UserError(
                f"output folder {output} is already used by another evaluation.",
                "Choose another --output.",
            )

    try:
        by_leader(take)
        try:
            yield parts
        except UserError:
            if is_leader() and not any(
                f.name != _KEY and f.stat().st_size for f in parts.iterdir()
            ):
                shutil.rmtree(parts if existed else output)
            raise
        # Renamed first: half a folder of finished batches would be taken for somebody else's.
        by_leader(lambda: shutil.rmtree(parts.rename(output / ".parts")))
    finally:
        workspace.release()
