"""Work in batches, each on disk the moment it is done, so that a killed evaluation loses one."""

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from relearn.base.errors import UserError
from relearn.base.progress import progress_bar
from relearn.base.storage import content_hash, disk_errors, read_json, write_json
from relearn.base.workspace import Workspace

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
    """Do `work` on all items, batch after batch.

    Args:
        items: JSON values; a finished batch is known again by what is in it.
        work: From a batch to a JSON value for each of its items.
        size: Items of a batch.
        file: Of finished batches, one a line; what is in it is not done again. None keeps none.
        title: Of the progress bar; None shows none.

    Returns:
        The value of each item.

    Raises:
        UserError: the file can't be written, and whatever `work` raises.
    """
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    done = _finished(file)
    values: list[Any] = []
    with ExitStack() as stack:
        advance = stack.enter_context(progress_bar(title))
        kept = None
        if file:
            stack.enter_context(disk_errors(file))
            kept = stack.enter_context(file.open("a"))
        for number, batch in enumerate(batches, 1):
            key = content_hash(list(batch))
            if key not in done:
                done[key] = list(work(batch))
                if kept:
                    kept.write(json.dumps({"batch": key, "values": done[key]}) + "\n")
                    kept.flush()
            values += done[key]
            advance(number, len(batches), "")
    return values


def _finished(file: Path | None) -> dict[str, list[Any]]:
    """Return the batches in `file`; a line that a killed process left torn is cut off."""
    if file is None or not file.is_file():
        return {}
    whole, _, torn = file.read_bytes().rpartition(b"\n")
    if torn:
        with file.open("r+b") as stream:
            stream.truncate(len(whole) + 1 if whole else 0)
    lines = [json.loads(line) for line in whole.splitlines()]
    return {line["batch"]: line["values"] for line in lines}


@contextmanager
def finished_batches(output: Path, key: str) -> Iterator[Path]:
    """Yield a folder in `output` for the finished batches of one evaluation, made or taken up.

    It is gone once the evaluation's results are written, or if it fails before its first batch.

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

    with Workspace(output, "this evaluation", is_ours):
        if not (parts / _KEY).is_file():
            write_json(parts / _KEY, key)
        if read_json(parts / _KEY) != key:
            raise UserError(
                f"output folder {output} is already used by another evaluation.",
                "Choose another --output.",
            )
        try:
            yield parts
        except UserError:
            if not any(file.name != _KEY and file.stat().st_size for file in parts.iterdir()):
                shutil.rmtree(parts if existed else output)
            raise
        # Renamed first: half a folder of finished batches would be taken for somebody else's.
        shutil.rmtree(parts.rename(output / ".parts"))
