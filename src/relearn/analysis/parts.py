"""Parts of an analysis: whole or absent, so that one that was killed goes on where it stopped."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from relearn.base.distributed import by_leader, leaders
from relearn.base.storage import atomic_path, read_json, write_json
from relearn.base.workspace import Workspace

_REQUEST = "request.json"
Tables = dict[str, pd.DataFrame]


class Parts:
    """The parts in an analysis' folder; as a context manager it keeps other processes out.

    Several processes make a part together; the leader alone makes and keeps its folder.

    Entering it drops the parts of another request, whose results would not fit.

    Args:
        folder: Of the analysis.
        request: What was asked for, as JSON values: models, data, settings.

    Raises:
        UserError: (on entering) the folder holds something else, or another process works in it.
    """

    def __init__(self, folder: Path, request: dict[str, Any]) -> None:
        self.folder = folder
        self.work = folder / "parts"
        self._request = request
        self._workspace = Workspace(folder, "an analysis", lambda names: _REQUEST in names)

    def __enter__(self) -> "Parts":
        by_leader(self._workspace.acquire)
        by_leader(self._take_up)
        return self

    def _take_up(self) -> None:
        file = self.folder / _REQUEST
        if not file.is_file() or read_json(file) != self._request:
            shutil.rmtree(self.work, ignore_errors=True)
            write_json(file, self._request)

    def __exit__(self, *_: object) -> None:
        self._workspace.release()

    def has(self, name: str) -> bool:
        """Whether the part `name` is there."""
        return leaders((self.work / name).is_dir())

    def make(self, name: str, compute: Callable[[Path], Tables]) -> Tables:
        """Return the tables of a part, computed if they are not there yet.

        Args:
            name: Such as `target/language`.
            compute: Gets a folder for whatever else belongs to the part, and returns its tables;
                in every process, which share the work.
        """
        path = self.work / name
        if not self.has(name):
            with ExitStack() as held:
                temporary = by_leader(lambda: _made(held.enter_context(atomic_path(path))))
                tables = compute(temporary)
                by_leader(lambda: _write(tables, temporary))
        return by_leader(lambda: _read(path))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _write(tables: Tables, folder: Path) -> None:
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)


def _read(folder: Path) -> Tables:
    return {file.stem: pd.read_parquet(file) for file in sorted(folder.glob("*.parquet"))}
