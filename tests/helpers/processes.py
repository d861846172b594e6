"""Two processes that meet as those of `accelerate launch` do."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def in_two_processes(folder: Path, job: str, *arguments: str) -> tuple[list[int], list[str], str]:
    """Run a script in both, and wait two minutes at most.

    Returns:
        The exit codes, what each printed, and what both wrote to their standard error.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (folder / "job.py").write_text(job)
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "job.py", *arguments],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | meeting | {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    codes = [process.returncode for process in processes]
    return codes, [out for out, _ in said], "".join(errors for _, errors in said)
