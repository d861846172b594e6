"""The command line in a process of its own, to be killed and started again.

Most of a start is importing torch and what stands on it: ten seconds of computing. A server that
has imported all that forks each process instead (`multiprocessing`'s forkserver), so that tests
can afford many of them. Beside an accelerator each is started anew instead: the imports ask for
it, and after that no forked process can use CUDA. `installed` starts one as a user does, from
nothing.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch

_PRELOADED = [
    "relearn.cli", "relearn.run", "relearn.evaluation.evaluate",
    "relearn.evaluation.judges.pair_files", "relearn.synthesis.folder",
    "transformers.models.llama.modeling_llama",
]  # fmt: skip
_context: Any = multiprocessing.get_context(
    "spawn" if torch.accelerator.is_available() else "forkserver"
)


class Command:
    """One `relearn` command at work in a process of its own.

    Args:
        arguments: After `relearn`.
        cwd: Where it runs; None: here.
        environment: Added to the environment of the tests.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()  # for what it prints
        self._logs = Path(self._folder.name)
        _context.set_forkserver_preload(_PRELOADED)  # read by no other way of starting
        everything = os.environ | (environment or {})
        self._process = _context.Process(
            target=_run, args=(list(arguments), self._logs, cwd or Path.cwd(), everything)
        )
        self._process.start()

    @property
    def stdout(self) -> str:
        return (self._logs / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self._logs / "stderr").read_text()

    @property
    def returncode(self) -> int | None:
        """The exit code; None while it is at work."""
        return self._process.exitcode

    def finish(self, timeout: float = 600) -> Self:
        """Wait for its end."""
        self._process.join(timeout)
        if self.returncode is None:
            self._process.kill()
            raise TimeoutError(self.stderr[-3000:])
        return self

    def kill_when(self, reached: Callable[[], bool], timeout: float = 300) -> None:
        """Kill it with signal 9 as soon as `reached` says so, which must be before it ends."""
        deadline = time.monotonic() + timeout
        try:
            while not reached():
                assert self._process.is_alive(), self.stderr[-3000:]
                assert time.monotonic() < deadline, self.stderr[-3000:]
                time.sleep(0.002)
        finally:
            self._process.kill()
            self._process.join()
        assert self.returncode == -signal.SIGKILL, "it ended before it could be killed"

    def kill_after(self, seconds: float) -> None:
        """Kill it with signal 9 after so long, if it is still at work."""
        self._process.join(seconds)
        self._process.kill()
        self._process.join()


def installed(
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command from a fresh interpreter, as a user does, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "relearn", *arguments], cwd=cwd,
        env=os.environ | (environment or {}), capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip


def _run(arguments: list[str], logs: Path, cwd: Path, environment: dict[str, str]) -> None:
    """Be the command: in the new process, with its own directory, environment and output."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        file = os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["relearn", *arguments]
    from relearn.cli import main

    main()
