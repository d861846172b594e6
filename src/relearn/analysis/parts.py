"""Parts of an analysis: whole or absent, so that one that was killed goes on where it stopped."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from relearn.base.errors import UserError
from relearn.base.storage import atomic_path, disk_errors, read_json, write_json

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
        self._lock = FileLock(folder / ".lock")

    def __enter__(self) -> "Parts":
        file = self.folder / "request.json"
        with disk_errors(self.folder):
            if not file.is_file() and self._used():
                raise UserError(
                    f"output folder {self.folder} is already used, and not by an analysis.",
                    "Choose another --output.",
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise UserError(
                    f"another process is at work in {self.folder}.", "Wait, or choose --output."
                ) from error
        if not file.is_file() or read_json(file) != self._request:
            shutil.rmtree(self.work, ignore_errors=True)
            write_json(file, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _used(self) -> bool:
        """Whether something stands at the folder's place, but for hidden files."""
        if self.folder.is_dir():
            return any(not entry.name.startswith(".") for entry in self.folder.iterdir())
        return self.folder.exists()

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
