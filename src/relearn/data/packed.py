"""Packed files: gzip, xz, bzip2, zstd and zip to the bytes of the file inside; what else is binary.

Nothing is unpacked beyond a bound, so that a small file can't fill the memory.
"""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import pyarrow

from relearn.base.errors import UserError

LARGEST = 1 << 30
"""Bytes that a file of records may have, unpacked."""

EXCEL_SUFFIX = ".xlsx"

_CHUNK = 1 << 20
_DEEPEST = 3  # a gzipped file in a zip archive is 2

_STREAMS: dict[bytes, tuple[str, Callable[[io.BytesIO], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"\xfd7zXZ\0": ("xz", lzma.LZMAFile),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\x28\xb5\x2f\xfd": ("zstd", lambda file: pyarrow.CompressedInputStream(file, "zstd")),
}
_ZIP = b"PK\x03\x04"
PACKED_SUFFIXES = (".gz", ".xz", ".bz2", ".zst", ".zip")

# How a file of another kind begins, and what to do about it.
_AS_TABLE = "Save the table as CSV, JSON lines or Parquet."
_UNPACK = "Unpack it, and give the file of records."
_OTHER_KINDS = (
    (b"%PDF-", "a PDF document", _AS_TABLE),
    (b"\xd0\xcf\x11\xe0", "a file of Excel or Word before 2007", "Save it as CSV (UTF-8)."),
    (b"{\\rtf", "an RTF document", _AS_TABLE),
    (b"SQLite format 3\0", "an SQLite database", _AS_TABLE),
    (b"ARROW1", "an Arrow file", "Write it as Parquet."),
    (b"Obj\x01", "an Avro file", "Write it as Parquet."),
    (b"ORC", "an ORC file", "Write it as Parquet."),
    (b"\x89HDF", "an HDF5 file", "Write it as Parquet."),
    (b"\x93NUMPY", "a NumPy array", _AS_TABLE),
    (b"\x89PNG", "an image", _AS_TABLE),
    (b"\xff\xd8\xff", "an image", _AS_TABLE),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a", "a RAR archive", _UNPACK),
    (
        b"version https://git-lfs.github.com/spec",
        "a Git LFS pointer, not the file itself",
        "Run `git lfs pull`.",
    ),
    (b"<!doctype html", "an HTML page", "Download the file itself."),
    (b"<html", "an HTML page", "Download the file itself."),
    (b"<?xml", "an XML file", _AS_TABLE),
)
_TAR_MARK = slice(257, 262)


def unpacked(data: bytes, name: str) -> tuple[bytes, str]:
    """Unpack a file as often as it is packed.

    Args:
        data: The file's bytes.
        name: The file's name, for messages.

    Returns:
        The bytes of the file inside, and its suffix ("" where it has none): `EXCEL_SUFFIX` for an
        Excel workbook, which is itself a zip archive.

    Raises:
        UserError: the file is damaged, too large, or an archive of several files.
    """
    suffix = _suffix(name)
    for _ in range(_DEEPEST):
        if data.startswith(_ZIP):
            data, suffix = _zip_member(data, name)
            if suffix == EXCEL_SUFFIX:
                return data, suffix
        elif stream := next((s for magic, s in _STREAMS.items() if data.startswith(magic)), None):
            kind, open_ = stream
            if kind == "bzip2" and data[4:10] not in (b"1AY&SY", b"\x17rE8P\x90"):
                break  # a text that begins with these letters
            data = _decompressed(data, name, kind, open_)
        else:
            break
    return data, suffix


def check_kind(data: bytes, name: str) -> None:
    """Refuse a file that is none of records, by what it begins with.

    Raises:
        UserError: says what the file is.
    """
    if data[_TAR_MARK] == b"ustar":
        raise UserError(f"{name} is a tar archive.", _UNPACK)
    start = data[:100].lstrip()
    for magic, kind, hint in _OTHER_KINDS:
        if start.startswith(magic) or start.lower().startswith(magic):
            raise UserError(f"{name} is {kind}.", hint)


def _suffix(name: str) -> str:
    """Return the last suffix that says what is in the file, not how it is packed."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    return next((s for s in reversed(suffixes) if s not in PACKED_SUFFIXES), "")


def check_size(size: int, name: str) -> None:
    """Refuse a file of more than `LARGEST` bytes, before it is read.

    Raises:
        UserError: it is larger.
    """
    if size > LARGEST:
        raise UserError(
            f"{name} has more than {LARGEST >> 20} MiB of records.", "Split it into several sets."
        )


def _read(stream: Any, name: str) -> bytes:
    """Read a stream to its end, but no further than the bound."""
    chunks: list[bytes] = []
    size = 0
    while chunk := stream.read(_CHUNK):
        chunks.append(chunk)
        check_size(size := size + len(chunk), name)
    return b"".join(chunks)


def _decompressed(data: bytes, name: str, kind: str, open_: Callable[[io.BytesIO], Any]) -> bytes:
    try:
        with open_(io.BytesIO(data)) as stream:
            return _read(stream, name)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        # The library's words may hold bytes of the file.
        raise UserError(f"{name} is a damaged {kind} file.", "Pack it again.") from error


def _zip_member(data: bytes, name: str) -> tuple[bytes, str]:
    """Return the only file in a zip archive, and its suffix."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            names = {entry.filename for entry in entries}
            if "xl/workbook.xml" in names:
                check_size(sum(entry.file_size for entry in entries), name)
                return data, EXCEL_SUFFIX
            _check_document(names, name)
            files = [entry for entry in entries if not _is_hidden(entry.filename)]
            if len(files) != 1:
                raise UserError(f"{name} is a zip archive of {len(files)} files.", _UNPACK)
            if files[0].flag_bits & 1:
                raise UserError(f"{name} is encrypted.", _UNPACK)
            with archive.open(files[0]) as stream:
                return _read(stream, name), _suffix(files[0].filename)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError) as error:
        raise UserError(f"{name} is a damaged zip file.", "Pack it again.") from error
    except (zlib.error, lzma.LZMAError, RuntimeError) as error:
        raise UserError(f"{name} is a damaged zip file.", "Pack it again.") from error


def _check_document(names: set[str], name: str) -> None:
    documents = {
        "word/document.xml": "a Word document",
        "ppt/presentation.xml": "a PowerPoint file",
        "xl/workbook.bin": "a binary Excel workbook",
        "META-INF/manifest.xml": "an OpenDocument file",
    }
    for member, kind in documents.items():
        if member in names:
            raise UserError(f"{name} is {kind}.", "Save the table as CSV (UTF-8).")


def _is_hidden(name: str) -> bool:
    """Return whether an archive's file is none of the user's: macOS adds such."""
    path = PurePath(name)
    return path.parts[0] == "__MACOSX" or path.name.startswith(".")
