"""An output folder: taken only where it holds nothing else, by one process at a time."""

import os
import tempfile
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from relearn.base.distributed import by_leader
from relearn.base.errors import UserError
from relearn.base.private import private_files
from relearn.base.storage import clear_leftovers, disk_errors

IsOurs = Callable[[Collection[str]], bool]
"""Tells from the names of what is in a folder whether it belongs to this kind of job."""


def check_free(folder: Path, job: str, is_ours: IsOurs) -> None:
    """Refuse a folder that holds anything but a job of this kind.

    Hidden files don't count: file managers and locks leave some in empty folders.

    Args:
        folder: Of the job; it need not exist.
        job: What the folder is for, with its article, such as "a run"; for messages.
        is_ours: Is asked where the folder is not empty.

    Raises:
        UserError: the folder is a file, or holds something else.
    """
    hint = "Choose another --output."
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output folder {folder} is a file.", hint)
    names = {e.name for e in folder.iterdir() if e.name[0] != "."} if folder.is_dir() else set()
    if names and not is_ours(names):
        raise UserError(f"output folder {folder} is already used, and not by {job}.", hint)


def check_unused(output: Path) -> None:
    """Refuse an output folder that holds anything.

    Raises:
        UserError: it does.
    """
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(f"output folder {output} is already used.", "Choose another --output.")


class ResultFolder:
    """The folder of a result: the user's, or a temporary one that is gone when this object is.

    Args:
        output: The user's; None for a temporary one, which nobody else may read.
    """

    def __init__(self, output: str | os.PathLike[str] | None) -> None:
        self._holder: Any = None
        if output is None:
            self._holder = tempfile.TemporaryDirectory(prefix="relearn-")
        self.is_temporary = output is None
        self.path = Path(self._holder.name if output is None else output)


class InFolder:
    """A result that lies in a folder, and reads from it what it is asked for.

    Args:
        folder: Its folder; a temporary one is deleted together with this object.

    Attributes:
        path: The folder.
    """

    def __init__(self, folder: ResultFolder) -> None:
        self._folder = folder
        self.path = folder.path


class Workspace:
    """The folder that one job works in; as a context manager it keeps other processes out.

    Of several processes on the job, the leader takes it for all.

    What is written to it meanwhile, the folder too if it is made, nobody but its owner can read.

    Args:
        folder: Made on entering, if need be.
        job: See `check_free`.
        is_ours: See `check_free`.

    Raises:
        UserError: (on entering) the folder holds something else, or another process works in it.
    """

    def __init__(self, folder: Path, job: str, is_ours: IsOurs) -> None:
        self._folder = folder
        self._job = job
        self._is_ours = is_ours
        self._lock = FileLock(folder / ".lock")
        self._held = ExitStack()

    def __enter__(self) -> Self:
        by_leader(self.acquire)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the folder."""
        with disk_errors(self._folder), ExitStack() as held:
            # First: no lock file is put into somebody else's folder.
            check_free(self._folder, self._job, self._is_ours)
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(private_files())
            self._folder.mkdir(exist_ok=True)
            try:
                held.enter_context(self._lock.acquire(timeout=0))
            except Timeout as error:
                raise UserError(
                    f"another process is working in {self._folder}.",
                    "Wait, or choose another --output.",
                ) from error
            clear_leftovers(list(self._folder.rglob(".*")))
            self._held = held.pop_all()

    def release(self) -> None:
        """Leave the folder to other processes."""
        self._held.close()
