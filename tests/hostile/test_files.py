"""Hostile files: read as they are meant, or refused in one line before anything is done."""

import os
import socket
from collections import Counter
from pathlib import Path

import pytest

from helpers.hostile_files import PAIR, ROW, Hostile, as_line, hostile_files
from relearn.base.errors import UserError
from relearn.cli import main
from relearn.data.sources import load_records
from relearn.evaluation.generations_file import read_generations
from relearn.evaluation.judges.pair_files import read_pairs

FILES = hostile_files()


def refusal(error: UserError) -> str:
    """Return the message of a refusal, after checking what holds for all of them."""
    message = str(error)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    assert len(message) < 2500
    assert "PRIVATE" not in message
    assert error.problem
    assert error.hint
    assert error.exit_code == 2
    return message


@pytest.mark.parametrize("file", [pytest.param(f, id=f"{f.kind}-{i}") for i, f in enumerate(FILES)])
def test_a_file_is_read_as_meant_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Hostile
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file.name).write_bytes(file.data)
    try:
        found = [(r.question, r.answer) for r in load_records(file.name)]
    except UserError as error:
        message = refusal(error)
        assert file.name in message
        assert file.read is None, message
        assert file.says in message
    else:
        assert found == file.read
    # Other readers of the same formats have other columns, and the same manners.
    for reader in (read_generations, read_pairs):
        with pytest.raises(UserError) as caught:
            reader(Path(file.name))
        refusal(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_the_corpus_is_large_and_has_both_outcomes() -> None:
    kinds = Counter(file.kind for file in FILES)
    assert len(FILES) > 400
    assert min(kinds.values()) > 3
    assert 100 < sum(file.read is None for file in FILES) < len(FILES) - 100


@pytest.mark.parametrize(
    "file", {file.kind: file for file in FILES if file.read is None}.values(), ids=lambda f: f.kind
)
def test_the_command_ends_with_one_line_and_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: Hostile,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file.name).write_bytes(file.data)
    monkeypatch.setattr("sys.argv", ["relearn", "check", file.name])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("error: ")
    assert "PRIVATE" not in printed.err + printed.out
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_links(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(as_line(ROW))
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    targets = {
        "good": "rows.jsonl", "again": "good", "folder": "folder.jsonl", "nowhere": "no.jsonl",
        "loop": "loop", "to_pipe": "pipe", "to_socket": "socket", "zero": "/dev/zero",
        "null": "/dev/null",
    }  # fmt: skip
    for name, target in targets.items():
        (tmp_path / name).symlink_to(target)
        source = str(tmp_path / name)
        if name in ("good", "again"):
            assert [(r.question, r.answer) for r in load_records(source)] == PAIR
            continue
        with pytest.raises(UserError) as caught:
            load_records(source)
        assert source in refusal(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "", " ", ".", "..", "/", "~", "demo:", "demo:../../columns",
        "demo:forget/../retain", "demo:\0",
        "no\0file.jsonl", "no\nfile.jsonl", "\ud800.jsonl", "x" * 5000, "a/" * 3000, "#set=forget",
        "rows.jsonl#=x", "tofu:../../x", "-x", "file:///etc/passwd", "http://localhost:1/x.jsonl",
        "../../../etc/shadow.jsonl", "\x1b[2Jrows.jsonl", "\u202erows.jsonl", "con.csv", "*.jsonl",
    ],
    ids=repr,
)  # fmt: skip
def test_names_that_are_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError) as caught:
        load_records(source)
    refusal(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_line_of_fifty_megabytes(tmp_path: Path) -> None:
    text = "PRIVATE " * (50 * 2**20 // 8)
    files = {
        "long.jsonl": as_line(ROW | {"answer": text}),
        "unread.jsonl": as_line(ROW | {"note": text}),
        "long.csv": f'question,answer\nQ,"{text}"\n'.encode(),
        "open.json": b'[{"question": "' + text.encode(),
        "no_table": text.encode(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        if name == "unread.jsonl":
            assert len(load_records(str(tmp_path / name))) == 1
            continue
        with pytest.raises(UserError) as caught:
            load_records(str(tmp_path / name))
        assert name in refusal(caught.value)
