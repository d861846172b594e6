"""Several processes end together: what fails in the leader's work is raised in each of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.processes import in_two_processes
from relearn.base.storage import read_json

# What each of two processes does; `where` is a stage of the leader or of both.
JOB = """
import os
import signal
import sys
from pathlib import Path
from relearn import cli
from relearn.config import RunConfig
from relearn.base.errors import UserError
from relearn.run_folder import RunFolder, Stage

where, what = sys.argv[1:]

def work():
    if what == "lost":
        if os.environ["RANK"] == ("0" if where == "leader" else "1"):
            os.kill(os.getpid(), signal.SIGKILL)
        from torch import distributed, ones
        distributed.all_reduce(ones(1))  # as a step of training does
    raise {"UserError": UserError, "ValueError": ValueError}[what]("the stage failed.")

def job():
    with RunFolder(Path("run"), RunConfig(), {}) as folder:
        folder.do(Stage("before", lambda: None))
        try:
            folder.do(Stage("stage", work, together=where != "leader"))
        except UserError as failure:  # as `compare` goes on without a baseline
            folder.do(Stage("after", lambda: Path("after").touch()))
            raise failure

cli.app = job
cli.main()
"""


@pytest.mark.parametrize("where", ["leader", "both"])
def test_a_failed_stage_fails_in_every_process_and_is_told_once(tmp_path: Path, where: str) -> None:
    """And all of them could go on with another stage."""
    codes, _, errors = in_two_processes(tmp_path, JOB, where, "UserError")
    assert codes == [2, 2], errors
    assert errors.count("the stage failed.") == 1
    assert (tmp_path / "after").is_file()


def test_a_bug_in_the_leaders_stage_ends_every_process(tmp_path: Path) -> None:
    codes, _, errors = in_two_processes(tmp_path, JOB, "leader", "ValueError")
    assert codes == [1, 1], errors
    # Its message might quote a record.
    assert errors.count("builtins.ValueError: (its message") == 1


@pytest.mark.parametrize(("where", "lost"), [("leader", 0), ("both", 1)])
def test_a_process_that_is_killed_ends_the_other(tmp_path: Path, where: str, lost: int) -> None:
    """The leader at work while the other waits for it; the other in the middle of a sum."""
    codes, _, errors = in_two_processes(tmp_path, JOB, where, "lost")
    assert codes[lost] == -signal.SIGKILL
    assert codes[1 - lost] == 1, errors
    # What is done stays done, and the stage is not: the same command takes it up.
    assert list(read_json(tmp_path / "run" / "manifest.json")["stages"]) == ["before"]


@pytest.mark.parametrize("where", ["leader", "both"])
def test_a_mistake_is_raised_once_in_one_process(tmp_path: Path, where: str) -> None:
    (tmp_path / "job.py").write_text(JOB)
    environment = {name: v for name, v in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, "job.py", where, "UserError"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("the stage failed.") == 1


def test_a_command_for_one_process_is_refused_in_several(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relearn", "list", "objectives"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "one process" in done.stderr
