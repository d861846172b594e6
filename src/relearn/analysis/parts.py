"""Parts of an analysis: whole or absent, so that one that was killed goes on where it stopped."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from relearn.base.storage import atomic_path, read_json, write_json
from relearn.base.workspace import Workspace

_REQUEST = "request.json"
Tables = dict[str, pd.DataFrame]


class Parts:
    """The parts in an analysis' folder; as a context manager it keeps other processes out.

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
        self._workspace.acquire()
        file = self.folder / _REQUEST
        if not file.is_file() or read_json(file) != self._request:
            shutil.rmtree(self.work, ignore_errors=True)
            write_json(file, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        self._workspace.release()

    def has(self, name: str) -> bool:
        """Whether the part `name` is there."""
        return (self.work / name).exists()

    def make(self, name: str, compute: Callable[[Path], Tables]) -> Tables:
        """Return the tables of a part, computed if they are not there yet.

        Args:
            name: Such as `target/language`.
            compute: Gets a folder for whatever else belongs to the part, and returns its tables.
        """
        path = self.work / name
        if not path.is_dir():
            with atomic_path(path) as temporary:
                temporary.mkdir()
                for table, frame in compute(temporary).items():
                    frame.to_parquet(temporary / f"{table}.parquet", index=False)
        return {file.stem: pd.read_parquet(file) for file in sorted(path.glob("*.parquet"))}
