"""Every answer of a language model, kept on disk the moment it arrives."""

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from relearn.base.errors import UserError
from relearn.base.storage import disk_errors

_TABLE = """CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER
) WITHOUT ROWID"""


@dataclass(frozen=True)
class Completion:
    """What a language model answered to one prompt.

    Attributes:
        text: The answer, without outer white space.
        error: Why there is no answer; empty if there is one.
        prompt_tokens: Tokens sent, as the model counts; 0 where it does not say.
        completion_tokens: Tokens received, likewise.
        attempts: Calls that it took; 0 if it was in the journal.
    """

    text: str = ""
    error: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    attempts: int = 0


class Journal:
    """Answers by the hash of model and prompt, in an SQLite file that survives a kill.

    Prompts and keys to endpoints are not in it; answers are, so it is as private as they are.

    Args:
        path: The file; made at once.

    Raises:
        UserError: the file is not a journal, or can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._database = sqlite3.connect(path, isolation_level=None, timeout=30)
                # A full sync at each commit: an answer that was paid for outlives a power cut.
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=FULL")
                self._database.execute(_TABLE)
        except sqlite3.DatabaseError as error:
            raise UserError(f"journal {path}: {error}.", "Delete it or choose another.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was recorded is safe without it."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()

    def lookup(self, keys: Sequence[str]) -> dict[str, Completion]:
        """Return the answers there are, by key."""
        rows = self._database.execute(
            "SELECT key, text, prompt_tokens, completion_tokens FROM answers "
            "WHERE key IN (SELECT value FROM json_each(?))",
            (json.dumps(keys),),
        )
        return {
            key: Completion(text, prompt_tokens=sent, completion_tokens=received)
            for key, text, sent, received in rows
        }

    def record(self, key: str, completion: Completion) -> None:
        """Keep an answer; it is on disk when this returns.

        Raises:
            UserError: the disk is full or may not be written.
        """
        try:
            self._database.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
                (key, completion.text, completion.prompt_tokens, completion.completion_tokens),
            )
        except sqlite3.OperationalError as error:
            raise UserError(
                f"journal {self.path} can't be written: {error}.", "Free some space."
            ) from error
