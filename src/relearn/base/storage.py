"""Files that are either whole or absent: atomic writes of text, JSON, JSON lines and folders."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from relearn.base.errors import UserError

# The folders of `atomic_path`: a point, the file's name, a point, what mkdtemp adds.
_HOLDER = re.compile(r"\..+\.[a-z0-9_]{8}")


def _disk_error(error: Exception, path: Path) -> Exception:
    """Return the user's message for a full or forbidden disk; any other error as it is."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    # Libraries that write in native code report a full disk in words of their own.
    if full or "No space left on device" in str(error) or _free_bytes(path) < 1 << 16:
        return UserError(f"no space left on the disk while writing {path}.", "Free some space.")
    if isinstance(error, PermissionError) or getattr(error, "errno", None) == errno.EROFS:
        return UserError(f"{path} is not writable.", "Choose another --output folder.")
    if isinstance(error, NotADirectoryError | FileExistsError):
        return UserError(f"{path} lies below a file.", "Choose another --output folder.")
    return error


def _free_bytes(path: Path) -> int:
    existing = next((p for p in (path, *path.absolute().parents) if p.exists()), Path("/"))
    return shutil.disk_usage(existing).free


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong when `path` can't be written into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        readable = _disk_error(error, path)
        if readable is error:
            raise
        raise readable from error


def check_writable(path: Path) -> None:
    """Find out whether `path` could be written; leaves nothing behind.

    Raises:
        UserError: the disk is full, or the place may not be written.
    """
    with disk_errors(path):
        existing = next(p for p in (path, *path.absolute().parents) if p.exists())
        with tempfile.TemporaryDirectory(prefix=".relearn", dir=existing):
            pass


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name `path`, else it vanishes.

    The caller may create a file or a folder there. A folder already at `path` is replaced.

    Raises:
        UserError: the disk is full, or the place may not be written.
    """
    holder: Path | None = None
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # A private folder, so that a killed process leaves one recognisable thing behind.
            holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            yield holder / path.name
            if path.is_dir():
                shutil.rmtree(path)
            os.replace(holder / path.name, path)
    finally:
        if holder is not None:
            shutil.rmtree(holder, ignore_errors=True)


def clear_leftovers(places: Iterable[Path]) -> None:
    """Delete those of `places` that a killed process left of `atomic_path`.

    Nobody else may be writing there.
    """
    for place in places:
        if _HOLDER.fullmatch(place.name) and place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically and durably."""
    _write(path, (text,))


def _write(path: Path, parts: Iterable[str]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read the JSON file at `path`, one that relearn wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` as JSON lines to `path` atomically, one by one as they come."""
    _write(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read the JSON lines at `path`, ones that relearn wrote."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_appended(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines that were appended to `path`, which need not exist.

    A line that a killed process left torn is cut off.
    """
    if not path.is_file():
        return
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        with path.open("r+b") as file:
            file.truncate(len(whole) + 1 if whole else 0)
    yield from map(json.loads, whole.splitlines())


def append_line(file: TextIO, row: Mapping[str, Any]) -> None:
    """Append `row` to an open file of JSON lines; it survives a kill from now on."""
    file.write(json.dumps(row) + "\n")
    file.flush()


def content_hash(*parts: Any) -> str:
    """Return the SHA-256 (hex) of `parts`: paths by their bytes, anything else by its JSON.

    An iterator is hashed as the list of what it yields, without being one.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file():
                    digest.update(file.name.encode())
                    with file.open("rb") as stream:
                        digest.update(hashlib.file_digest(stream, "sha256").digest())
        elif isinstance(part, Iterator):
            digest.update(b"[")
            for i, each in enumerate(part):
                digest.update(b", " if i else b"")
                digest.update(_canonical(each))
            digest.update(b"]")
        else:
            digest.update(_canonical(part))
        digest.update(b"\0")
    return digest.hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
