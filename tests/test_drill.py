"""Faults over the whole of `relearn run`: a run that was hit ends as one that was not, or says why.

`make drill` tries them all; `make drill KILLS=4` kills it less often, over the whole of it as well.
Of the quick tests only one is here: others are in test_run.py.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers.command import Command
from helpers.endpoint import Endpoint
from helpers.small_files import mounted, write_demo_records
from helpers.writer import writer
from relearn.base.storage import content_hash, read_json, read_jsonl

SETTINGS = """
memorize: {epochs: 1, learning_rate: 1.0e-2, batch_size: 4, gradient_accumulation: 1,
           checkpoint_steps: 1, lora: {rank: 4}}
synthesis: {backend: openai, variants: 1, completion_share: 0, generic_ratio: 0,
            llm: {model: served, concurrency: 4, timeout: 5}}
training: {epochs: 2, learning_rate: 1.0e-3, batch_size: 4, gradient_accumulation: 1,
           checkpoint_steps: 2, lora: {rank: 4}}
evaluation: {max_new_tokens: 8}
audit: {attacks: [question, prefix]}
"""
KILLS = int(os.environ.get("DRILL_KILLS", "40"))
STAGES = (
    "data", "target", "synthesis", "training/unlearned", "evaluation/target",
    "evaluation/unlearned", "audit",
)  # fmt: skip


@dataclass
class Place:
    """A user's folder with files, settings and a cache of its own; the run is in `run`."""

    folder: Path
    model: Path
    endpoint: Endpoint

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def command(self, output: str = "run") -> tuple[list[str], dict[str, str]]:
        """Return what is given after `relearn`, and what is added to the environment."""
        cache = Path(os.environ.get("RELEARN_CACHE", "~/.cache/relearn")).expanduser()
        mine = self.folder / "cache"
        mine.mkdir(exist_ok=True)
        if not (mine / "embedded").exists():
            (mine / "embedded").symlink_to(cache / "embedded")
        arguments = [
            "run", "--config", "config.yaml", "--output", output, "--model", str(self.model),
            "--forget", "forget.jsonl", "--retain", "retain.jsonl",
            "--set", f"synthesis.llm.base_url={self.endpoint.base_url}",
        ]  # fmt: skip
        return arguments, {"RELEARN_CACHE": str(mine), "OPENAI_API_KEY": "none"}

    def start(self, output: str = "run") -> Command:
        arguments, environment = self.command(output)
        return Command(arguments, cwd=self.folder, environment=environment)

    def done(self) -> list[str]:
        manifest = self.run / "manifest.json"
        return list(read_json(manifest)["stages"]) if manifest.is_file() else []

    def until(self, stage: str) -> None:
        """Start the run, and kill it once a stage is done."""
        self.start().kill_when(lambda: stage in self.done())

    def finish(self) -> dict[str, Any]:
        """Run to the end, and return the outcome."""
        ended = self.start().finish()
        assert ended.returncode == 0, ended.stderr
        left = [p for p in self.folder.rglob(".*") if re.fullmatch(r"\..+\.\w{8}", p.name)]
        assert not left, "temporary files are left"
        return outcome(self.run)


def outcome(run: Path) -> dict[str, Any]:
    """What a run has found, without times."""
    return {
        "weights": content_hash(run / "training" / "unlearned" / "adapter_model.safetensors"),
        "augmented": read_jsonl(run / "synthesis" / "augmented.jsonl"),
        "rows": read_jsonl(run / "evaluation" / "unlearned" / "rows.jsonl"),
        "audit": read_json(run / "audit" / "summary.json"),
    }


def make(folder: Path, model: Path, endpoint: Endpoint) -> Place:
    folder.mkdir(exist_ok=True)
    write_demo_records(folder, 8)
    (folder / "config.yaml").write_text(SETTINGS)
    return Place(folder, model, endpoint)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(writer) as served:
        yield served


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, endpoint: Endpoint
) -> tuple[dict[str, Any], float]:
    """What a run finds that nothing happens to, and how long it takes."""
    place = make(tmp_path_factory.mktemp("undisturbed") / "place", tiny_model, endpoint)
    start = time.monotonic()
    found = place.finish()
    return found, time.monotonic() - start


@pytest.fixture
def place(tmp_path: Path, tiny_model: Path, endpoint: Endpoint) -> Place:
    return make(tmp_path / "place", tiny_model, endpoint)


def some(cases: Any, quick: Any) -> list[Any]:
    """Parameters, all but the quick ones of them slow."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_any_moment(
    place: Place, undisturbed: tuple[dict[str, Any], float], number: int
) -> None:
    expected, seconds = undisturbed
    moment = seconds * (number + random.Random(number).random()) / KILLS
    place.start().kill_after(moment)
    finished = {
        name: read_json(place.run / "manifest.json")["stages"][name] for name in place.done()
    }
    assert place.finish() == expected
    stages = read_json(place.run / "manifest.json")["stages"]
    assert {name: stages[name] for name in finished} == finished, "finished work was repeated"


def _workers(launcher: int) -> dict[str, int]:
    """Return the processes that a launcher has started, by their rank."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            given = dict(
                pair.split("=", 1)
                for pair in (place / "environ").read_text().split("\0") if "=" in pair
            )  # fmt: skip
            if parent == launcher and "RANK" in given:
                found[given["RANK"]] = int(place.name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_one_of_two_processes_is_lost_in_training(place: Place, rank: str) -> None:
    """The launcher ends the other, and the same command goes on to what it would have made."""
    launch = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m",
        "relearn",
    ]  # fmt: skip

    def start(output: str) -> subprocess.Popen[str]:
        arguments, environment = place.command(output)
        more = ["--set", "training.epochs=12"]  # steps enough to be hit among them
        return subprocess.Popen(
            [*launch, *arguments, *more], cwd=place.folder, text=True,
            env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end(process: subprocess.Popen[str], seconds: float) -> str:
        try:
            return process.communicate(timeout=seconds)[1]
        finally:
            process.kill()

    whole = start("undisturbed")
    errors = end(whole, 600)
    assert whole.returncode == 0, errors[-3000:]
    hit = start("run")
    checkpoints = place.run / "training" / "unlearned.checkpoints"
    while not any(checkpoints.glob("checkpoint-*")):
        assert hit.poll() is None
        time.sleep(0.01)
    workers = _workers(hit.pid)
    assert workers.keys() == {"0", "1"}
    os.kill(workers[rank], signal.SIGKILL)
    errors = end(hit, 120)
    assert hit.returncode != 0
    assert "training/unlearned" not in place.done(), errors[-3000:]
    assert not any(Path(f"/proc/{process}").exists() for process in workers.values())
    again = start("run")
    errors = end(again, 600)
    assert again.returncode == 0, errors[-3000:]
    assert outcome(place.run) == outcome(place.folder / "undisturbed")


def _fill(folder: Path) -> Path:
    """Take all the room that a file system has left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return filler


def _refusal(command: Command) -> str:
    """Wait for a command that ends with one clear line, and return the line."""
    command.finish()
    assert command.returncode == 2, command.stderr
    assert "Traceback" not in command.stderr
    return command.stderr.strip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES[:-1])
def test_disk_that_is_full_after_a_stage(
    place: Place, undisturbed: tuple[dict[str, Any], float], stage: str
) -> None:
    place.run.mkdir()
    with mounted(place.run, "size=64m"):
        place.until(stage)
        filler = _fill(place.run)
        assert "no space left" in _refusal(place.start())
        filler.unlink()
        assert place.finish() == undisturbed[0]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES[:-1])
def test_folder_that_is_read_only_after_a_stage(
    place: Place, undisturbed: tuple[dict[str, Any], float], stage: str
) -> None:
    place.run.mkdir()
    with mounted(place.run, "size=64m"):
        place.until(stage)
        subprocess.run(["mount", "-o", "remount,ro", place.run], check=True)
        assert "not writable" in _refusal(place.start())
        subprocess.run(["mount", "-o", "remount,rw", place.run], check=True)
        assert place.finish() == undisturbed[0]


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(bytes(content))


# What is damaged: after which stage, where, and how.
DAMAGE: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "manifest": ("synthesis", "run/manifest.json", _truncated),
    "synthesis": ("synthesis", "run/synthesis/augmented.jsonl", _truncated),
    "target": ("target", "cache/targets/*/model.safetensors", _flipped),
    "target's end": ("target", "cache/targets/*/model.safetensors", _truncated),
    "adapter": ("training/unlearned", "run/training/*/adapter_model.safetensors", _flipped),
    "adapter's end": ("training/unlearned", "run/training/*/adapter_model.safetensors", _truncated),
    "answers": ("evaluation/unlearned", "run/evaluation/*/rows.jsonl", _truncated),
}


@pytest.mark.parametrize("damage", some(DAMAGE, quick=("adapter",)))
def test_damaged_files_are_not_built_on(place: Place, damage: str) -> None:
    stage, pattern, break_ = DAMAGE[damage]
    place.until(stage)
    files = list(place.folder.glob(pattern))
    assert files
    for file in files:
        break_(file)
    assert re.search("is not what|is damaged", _refusal(place.start()))


@pytest.mark.slow
def test_a_backend_that_hangs_cuts_its_answers_and_writes_garbage(
    tmp_path: Path, tiny_model: Path, undisturbed: tuple[dict[str, Any], float]
) -> None:
    """Each kind of fault for itself is in tests/llm/test_llm.py."""
    with Endpoint(writer, fault_rate=0.4, pause=6) as faulty:  # seconds; a call may take five
        place = make(tmp_path / "place", tiny_model, faulty)
        assert place.finish() == undisturbed[0]
        assert {"time-out", "cut", "garbage"} <= set(faulty.faults)


@pytest.mark.slow
def test_a_journal_that_lost_its_end(
    place: Place, undisturbed: tuple[dict[str, Any], float]
) -> None:
    """What it lost is asked for again; where it can't be read, one line says which file it is."""
    asked = len(place.endpoint.requests)
    place.start().kill_when(lambda: len(place.endpoint.requests) > asked + 8)
    journals = list(place.run.glob("synthesis/journal*"))
    assert journals
    for journal in journals:
        _truncated(journal)
    if place.start().finish().returncode != 0:
        assert "journal" in _refusal(place.start())
        for journal in journals:
            journal.unlink(missing_ok=True)
    assert place.finish() == undisturbed[0]


@pytest.mark.slow
def test_two_runs_on_one_folder_and_two_on_one_cache(
    place: Place, undisturbed: tuple[dict[str, Any], float]
) -> None:
    first = place.start()
    while not place.run.exists():
        time.sleep(0.01)
    assert "another process" in _refusal(place.start())
    beside = place.start("beside")
    for each in (first, beside):
        assert each.finish().returncode == 0, each.stderr
    for name in ("run", "beside"):
        assert outcome(place.folder / name) == undisturbed[0]


@pytest.mark.slow
def test_clock_that_was_set_back(place: Place, undisturbed: tuple[dict[str, Any], float]) -> None:
    """All that is there comes from next year."""
    place.until("training/unlearned")
    later = time.time() + 365 * 86400
    for file in [*place.run.rglob("*"), *(place.folder / "cache" / "targets").rglob("*")]:
        os.utime(file, (later, later))
    assert place.finish() == undisturbed[0]
