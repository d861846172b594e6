"""What tests of whole commands work on: a few of the demo's records, a file system of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relearn.base.storage import write_jsonl
from relearn.data.sources import load_records


def write_demo_records(folder: Path, count: int) -> None:
    """Write `forget.jsonl` and `retain.jsonl` with the first records of the demo."""
    for name in ("forget", "retain"):
        rows = [
            {"question": record.question, "answer": record.answer}
            for record in load_records(f"demo:{name}")[:count]
        ]
        write_jsonl(folder / f"{name}.jsonl", rows)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Let `folder` be a file system in memory, with options of `mount`, while this lasts."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("no right to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
