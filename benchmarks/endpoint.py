"""How near `relearn`'s calls keep a limited endpoint to its limit.

    python benchmarks/endpoint.py [--calls N] [--seconds S] [--at-once N ...]

The endpoint is the tests' own, on loopback and in a process of its own. It answers a call after so
many seconds and works on 32 at once, so that its limit is 32 / S calls a second; what comes on top
waits. Each answer is journaled on disk, as in a run. What is printed for each `llm.concurrency` is
calls a second, from the start of the first to the end of the last, their share of the limit, and
the milliseconds of a processor that a call takes here.
"""

import argparse
import os
import sys
import tempfile
import time
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from relearn.config import LLMConfig
from relearn.llm import Journal, Prompt, ask, make_llm

sys.path.append(str(Path(__file__).parents[1] / "tests"))
LIMIT = 32  # calls that the endpoint works on at once


def serve(seconds: float, ready: Connection) -> None:
    from helpers.endpoint import Endpoint

    with Endpoint(lambda *_: "That stays private.", delay=seconds, limit=LIMIT) as endpoint:
        ready.send(endpoint.base_url)
        ready.recv()


def measured(base_url: str, calls: int, at_once: int) -> tuple[float, float]:
    """Return calls a second, and milliseconds of a processor for each."""
    config = LLMConfig(base_url=base_url, model="served", concurrency=at_once)
    prompts = [Prompt(f"Where does person {i} live?") for i in range(calls)]
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal") as journal:
        llm = make_llm("openai", config)
        start, busy = time.perf_counter(), time.process_time()
        answers = ask(llm, prompts, journal)
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
    if failed := [answer.error for answer in answers if answer.error]:
        raise RuntimeError(f"{len(failed)} calls failed: {failed[0]}")
    return calls / seconds, 1000 * busy / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1600)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each call")
    parser.add_argument("--at-once", type=int, nargs="+", default=[8, 32, 64])
    given = parser.parse_args()
    os.environ.setdefault("OPENAI_API_KEY", "none")
    ours, theirs = Pipe()
    server = Process(target=serve, args=(given.seconds, theirs), daemon=True)
    server.start()
    base_url = ours.recv()
    measured(base_url, LIMIT, LIMIT)  # loads what the first calls need
    table = Table("llm.concurrency", "calls a second", "of the limit", "ms of a processor")
    for at_once in given.at_once:
        rate, busy = measured(base_url, given.calls, at_once)
        share = rate * given.seconds / LIMIT
        table.add_row(str(at_once), f"{rate:.1f}", f"{share:.0%}", f"{busy:.1f}")
    ours.send("done")
    server.join()
    Console().print(table)


if __name__ == "__main__":
    main()
