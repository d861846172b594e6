"""Who may work in a folder."""

from collections.abc import Collection
from pathlib import Path

import pytest

from relearn.base.errors import UserError
from relearn.base.storage import atomic_path
from relearn.base.workspace import Workspace


def is_job(names: Collection[str]) -> bool:
    return "job.json" in names


def test_one_process_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with (
        Workspace(folder, "a job", is_job),
        pytest.raises(UserError, match="another process"),
        Workspace(folder, "a job", is_job),
    ):
        pass
    with Workspace(folder, "a job", is_job):
        (folder / "job.json").touch()
    with Workspace(folder, "a job", is_job):
        pass


def test_nothing_is_put_into_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with (
        pytest.raises(UserError, match="already used, and not by a job"),
        Workspace(tmp_path, "a job", is_job),
    ):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="file"), Workspace(place, "a job", is_job):
            pass


def test_what_a_killed_process_left_half_written_goes(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "part").mkdir(parents=True)
    (folder / "job.json").touch()
    writing = atomic_path(folder / "part" / "file.json")
    half = writing.__enter__()  # as if the process ended here
    half.write_text("half")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / ".link.json.abcdefgh").symlink_to(elsewhere)
    (folder / ".hidden").mkdir()
    with Workspace(folder, "a job", is_job):
        assert not half.parent.exists()
        assert sorted(path.name for path in folder.iterdir()) == [
            ".hidden", ".link.json.abcdefgh", ".lock", "job.json", "part",
        ]  # fmt: skip
