"""The same command on several processes: the same training, written once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.small_files import write_demo_records
from relearn.base.storage import read_json, read_jsonl

SETTINGS = """
synthesis: {variants: 1}
training: {epochs: 2, learning_rate: 1.0e-3, batch_size: 2, checkpoint_steps: 3,
           lora: {rank: 4, dropout: 0}}
evaluation: {max_new_tokens: 4}
audit: {attacks: [question]}
"""
LAUNCH = [
    "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "-m",
]  # fmt: skip


def relearn(folder: Path, *arguments: str, launch: list[str] | None = None) -> None:
    module = [*(launch or []), "relearn"]
    done = subprocess.run(
        [sys.executable, "-m", *module, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=500,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    write_demo_records(tmp_path, 5)
    (tmp_path / "config.yaml").write_text(SETTINGS)
    return tmp_path


def test_two_processes_train_as_one_does(workplace: Path, tiny_model: Path) -> None:
    """Five rows, which can't be shared out evenly; a step is the same rows in either case."""
    for output, accumulation, launch in (("one", 4, None), ("two", 2, LAUNCH)):
        relearn(
            workplace, "run", "--config", "config.yaml", "--output", output,
            "--model", str(tiny_model), "--forget", "forget.jsonl", "--retain", "retain.jsonl",
            "--set", f"training.gradient_accumulation={accumulation}",
            "--set", "model.dtype=float32", launch=launch,
        )  # fmt: skip
    one, two = (
        read_jsonl(workplace / name / "training" / "unlearned" / "history.jsonl")
        for name in ("one", "two")
    )
    assert len(one) == len(two) > 2
    for name in ("loss", "forget_ce", "retain_kl"):
        assert [row[name] for row in two] == pytest.approx(
            [row[name] for row in one], rel=1e-3, abs=1e-5
        )
    files = [
        sorted(
            str(p.relative_to(workplace / name))
            for p in (workplace / name).rglob("*")
            if p.is_file()
        )
        for name in ("one", "two")
    ]
    assert files[0] == files[1]
    assert (workplace / "two" / "report.html").is_file()
    # The target is the same model, and what it is asked the same batches, shared by the two.
    of_target = "evaluation/target/rows.jsonl", "evaluation/target/metrics.json"
    for name in (*of_target, "audit/parts/quick/question.target.jsonl"):
        evaluated = [(workplace / run / name).read_bytes() for run in ("one", "two")]
        assert evaluated[0] == evaluated[1]
    stages = [
        list(read_json(workplace / name / "manifest.json")["stages"]) for name in ("one", "two")
    ]
    assert stages[0] == stages[1]
