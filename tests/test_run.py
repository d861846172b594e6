"""The whole job as a user starts it: in a process of its own, killed, resumed, given bad input."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.command import Command, installed
from helpers.small_files import mounted, write_demo_records
from relearn.base.storage import content_hash, read_json, read_jsonl

SETTINGS = """
memorize: {epochs: 2, learning_rate: 1.0e-2, batch_size: 4, gradient_accumulation: 1,
           checkpoint_steps: 2, lora: {rank: 4}}
synthesis: {variants: 1}
training: {epochs: 2, learning_rate: 1.0e-3, batch_size: 4, gradient_accumulation: 1,
           checkpoint_steps: 2, lora: {rank: 4}}
baselines:
  npo: {objective: npo, epochs: 2, batch_size: 4, gradient_accumulation: 1, lora: {rank: 4}}
evaluation: {max_new_tokens: 8}
audit: {attacks: [question, prefix]}
"""


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with a user's own files and configuration."""
    write_demo_records(tmp_path, 8)
    (tmp_path / "config.yaml").write_text(SETTINGS)
    return tmp_path


def command(tiny_model: Path, output: str = "run") -> list[str]:
    return [
        "run", "--config", "config.yaml", "--output", output,
        "--model", str(tiny_model), "--forget", "forget.jsonl", "--retain", "retain.jsonl",
    ]  # fmt: skip


def environment(workplace: Path) -> dict[str, str]:
    """A cache for targets of its own, with the models shared."""
    cache = Path(os.environ.get("RELEARN_CACHE", "~/.cache/relearn")).expanduser()
    mine = workplace / "cache"
    mine.mkdir(exist_ok=True)
    if not (mine / "embedded").exists():
        (mine / "embedded").symlink_to(cache / "embedded")
    return {"RELEARN_CACHE": str(mine)}


def start(workplace: Path, arguments: list[str]) -> Command:
    return Command(arguments, cwd=workplace, environment=environment(workplace))


def finish(workplace: Path, arguments: list[str]) -> Command:
    return start(workplace, arguments).finish()


def user_runs(workplace: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return installed(arguments, cwd=workplace, environment=environment(workplace))


Starter = Callable[[Path, list[str]], Command | subprocess.CompletedProcess[str]]


def stages(run: Path) -> list[str]:
    manifest = run / "manifest.json"
    return list(read_json(manifest)["stages"]) if manifest.exists() else []


def test_killed_at_every_stage_it_ends_as_if_never_killed(
    workplace: Path, tiny_model: Path
) -> None:
    run = workplace / "run"
    arguments = command(tiny_model)

    def checkpoint(pattern: str) -> Callable[[], bool]:
        return lambda: any(workplace.glob(f"{pattern}/checkpoint-*/sizes.json"))

    start(workplace, arguments).kill_when(lambda: "data" in stages(run))
    start(workplace, arguments).kill_when(checkpoint("cache/targets/*.checkpoints"))
    start(workplace, arguments).kill_when(lambda: "target" in stages(run))
    start(workplace, arguments).kill_when(checkpoint("run/training/unlearned.checkpoints"))
    start(workplace, arguments).kill_when(lambda: "training/unlearned" in stages(run))
    start(workplace, arguments).kill_when(lambda: "evaluation/target" in stages(run))
    start(workplace, arguments).kill_when(lambda: any(run.glob("audit/parts/quick/*.target.jsonl")))
    finished = {name: read_json(run / "manifest.json")["stages"][name] for name in stages(run)}
    # A fresh interpreter: what depends on the order of a set's words would differ from here on.
    done = user_runs(workplace, arguments)
    assert done.returncode == 0, done.stderr
    for name, stage in finished.items():
        assert read_json(run / "manifest.json")["stages"][name] == stage, f"{name} was done again"

    clean = workplace / "clean"
    for target in (workplace / "cache" / "targets").iterdir():
        target.rename(workplace / f"old-{target.name}")
    done = user_runs(workplace, command(tiny_model, "clean"))
    assert done.returncode == 0, done.stderr
    for trained in ("unlearned", "npo"):
        weights = [
            content_hash(folder / "training" / trained / "adapter_model.safetensors")
            for folder in (run, clean)
        ]
        assert weights[0] == weights[1], f"{trained} differs"
    for name in ("target", "unlearned", "npo"):
        rows = [read_jsonl(folder / "evaluation" / name / "rows.jsonl") for folder in (run, clean)]
        assert rows[0] == rows[1]
    audits = [read_json(folder / "audit" / "summary.json") for folder in (run, clean)]
    assert audits[0] == audits[1]
    roles = {"target": "target", "base": "base", "unlearned": "unlearned"}
    assert audits[0]["roles"] == roles | {"never_saw": "never_saw"}
    _check_summary(clean)
    assert not list(clean.rglob(".*.json.*")), "temporary files are left"

    again = finish(workplace, arguments)
    assert again.returncode == 0
    assert "report.html" in again.stdout


def _check_summary(run: Path) -> None:
    summary = read_json(run / "summary.json")
    assert list(summary["baselines"]) == ["npo"]
    for metrics in (summary["target"], summary["unlearned"], summary["baselines"]["npo"]):
        assert {"forget/kfr", "forget/rougeL_recall", "forget/ls", "retain/krr"} <= set(metrics)
    assert summary["peak_memory_bytes"] > 1 << 28
    assert {"target", "synthesis", "training/unlearned"} <= set(summary["seconds"])


def test_a_records_own_paraphrases_are_the_unseen_phrasings(
    workplace: Path, tiny_model: Path, data_files: Path
) -> None:
    rewordings = {}
    for name, file in (("forget", "forget10_perturbed.json"), ("retain", "retain_perturbed.json")):
        lines = (data_files / "tofu" / file).read_text().splitlines()[:4]
        (workplace / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        rewordings[name] = [json.loads(line)["paraphrased_question"] for line in lines]
    done = finish(workplace, [*command(tiny_model), "--set", "memorize=null"])
    assert done.returncode == 0, done.stderr
    rows = read_jsonl(workplace / "run" / "evaluation" / "unlearned" / "rows.jsonl")
    for name in rewordings:
        asked = [row["question"] for row in rows if row["set"] == f"{name}_unseen"]
        assert asked == rewordings[name]
    trained = read_jsonl(workplace / "run" / "synthesis" / "augmented.jsonl")
    assert not {row["question"] for row in trained} & set(rewordings["forget"])
    assert "unseen phrasings" in (workplace / "run" / "report.html").read_text()


class TestBadInput:
    """One line, exit code 2, and nothing left behind."""

    def refused(
        self, workplace: Path, arguments: list[str], *words: str, by: Starter = finish
    ) -> None:
        before = sorted(workplace.rglob("*"))
        done = by(workplace, arguments)
        assert done.returncode == 2, done.stderr
        message = done.stderr.strip().splitlines()[-1]
        assert message.startswith("error: ")
        assert "Traceback" not in done.stderr
        for word in words:
            assert word in message
        after = sorted(path for path in workplace.rglob("*") if "cache" not in path.parts)
        assert after == [path for path in before if "cache" not in path.parts]

    def with_option(self, tiny_model: Path, option: str, value: str) -> list[str]:
        arguments = command(tiny_model)
        arguments[arguments.index(option) + 1] = value
        return arguments

    @pytest.fixture(autouse=True)
    def _cache(self, workplace: Path) -> None:
        environment(workplace)

    def test_missing_file(self, workplace: Path, tiny_model: Path) -> None:
        arguments = self.with_option(tiny_model, "--forget", "no.jsonl")
        self.refused(workplace, arguments, "no.jsonl", by=user_runs)

    def test_missing_column(self, workplace: Path, tiny_model: Path) -> None:
        (workplace / "bad.jsonl").write_text('{"question": "Who?", "reply": "Me."}\n')
        self.refused(
            workplace, self.with_option(tiny_model, "--forget", "bad.jsonl"), "bad.jsonl", "answer"
        )

    def test_bad_line(self, workplace: Path, tiny_model: Path) -> None:
        (workplace / "bad.jsonl").write_text(
            '{"question": "Who?", "answer": "Me."}\n{"question":\n'
        )
        self.refused(
            workplace, self.with_option(tiny_model, "--forget", "bad.jsonl"), "bad.jsonl", "2"
        )

    def test_empty_set(self, workplace: Path, tiny_model: Path) -> None:
        (workplace / "bad.jsonl").write_text("")
        self.refused(workplace, self.with_option(tiny_model, "--retain", "bad.jsonl"), "bad.jsonl")

    def test_forget_record_in_retain(self, workplace: Path, tiny_model: Path) -> None:
        both = (workplace / "retain.jsonl").read_text() + (workplace / "forget.jsonl").read_text()
        (workplace / "both.jsonl").write_text(both)
        self.refused(workplace, self.with_option(tiny_model, "--retain", "both.jsonl"), "retain")

    def test_no_such_model(self, workplace: Path, tiny_model: Path) -> None:
        self.refused(
            workplace, self.with_option(tiny_model, "--model", "no/such-model"), "no/such-model"
        )

    def test_unknown_setting(self, workplace: Path, tiny_model: Path) -> None:
        self.refused(
            workplace, [*command(tiny_model), "--set", "training.epoch=3"], "training.epoch"
        )

    def test_unknown_objective(self, workplace: Path, tiny_model: Path) -> None:
        self.refused(workplace, [*command(tiny_model), "--set", "training.objective=no"], "relearn")

    def test_used_output_folder(self, workplace: Path, tiny_model: Path) -> None:
        (workplace / "run").mkdir()
        (workplace / "run" / "thesis.txt").write_text("mine")
        self.refused(workplace, command(tiny_model), "run", "used")

    def test_output_is_a_file(self, workplace: Path, tiny_model: Path) -> None:
        (workplace / "run").write_text("mine")
        self.refused(workplace, command(tiny_model), "run")

    def test_run_of_another_configuration(self, workplace: Path, tiny_model: Path) -> None:
        process = start(workplace, command(tiny_model))
        process.kill_when(lambda: "data" in stages(workplace / "run"))
        done = finish(workplace, [*command(tiny_model), "--set", "training.epochs=5"])
        assert done.returncode == 2
        assert "training.epochs" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with hardly any room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "size=256k"):
        yield folder


def test_full_disk(workplace: Path, tiny_model: Path, small_disk: Path) -> None:
    done = finish(workplace, command(tiny_model, str(small_disk / "run")))
    assert done.returncode == 2, done.stderr
    assert "no space left" in done.stderr.strip().splitlines()[-1]
    assert not list(small_disk.rglob("adapter_model.safetensors"))
