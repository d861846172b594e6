"""Finished blocks of a synthesis, each on disk the moment it is done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from relearn.base.storage import append_line, content_hash, disk_errors, read_appended
from relearn.data.new_answers import NewAnswer, Rejected


@dataclass
class Block:
    """What was written for some of the records.

    Attributes:
        accepted: New answers to these records' questions and their variants.
        rejected: Candidates that were not used.
        checks: How many candidates were verified.
    """

    accepted: list[NewAnswer] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    checks: int = 0


class FinishedBlocks:
    """Blocks by number, in a file to which each is appended; a killed synthesis loses one.

    Args:
        file: Made if need be.
        key: Hash of all that a block depends on besides its number. Blocks of another synthesis in
            the file don't count.

    Raises:
        UserError: (here and in `add`) the disk is full or may not be written.
    """

    def __init__(self, file: Path, key: str) -> None:
        self._path = file
        self._key = key
        self._done = {row["block"]: _block(row) for row in read_appended(file)}
        with disk_errors(file):
            self._file = file.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, number: int) -> Block | None:
        """Return a block; None if it is not finished."""
        return self._done.get(self._name(number))

    def add(self, number: int, block: Block) -> None:
        """Keep a block; it survives a kill when this returns."""
        row = {
            "block": self._name(number),
            "accepted": [a.model_dump(exclude_defaults=True) for a in block.accepted],
            "rejected": [r.model_dump(exclude_defaults=True) for r in block.rejected],
            "checks": block.checks,
        }
        with disk_errors(self._path):
            append_line(self._file, row)

    def _name(self, number: int) -> str:
        return content_hash(self._key, number)


def _block(row: Mapping[str, Any]) -> Block:
    return Block(
        [NewAnswer.model_validate(answer) for answer in row["accepted"]],
        [Rejected.model_validate(answer) for answer in row["rejected"]],
        row["checks"],
    )
