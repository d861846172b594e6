"""Liger's kernels: refused where they can't run, and in Triton's interpreter the same training."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from relearn.base.errors import UserError
from relearn.base.storage import read_jsonl
from relearn.training.checks import check_kernels

INSTALLED = find_spec("liger_kernel") is not None

TRAIN = """
import sys
from pathlib import Path
from relearn.config import LoraConfig, ModelConfig, TrainingConfig
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_model, load_tokenizer
from relearn.training.engine import train

folder, output, *kernels = sys.argv[1:]
config = ModelConfig(dtype="float32")
tokenizer = load_tokenizer(Path(folder), config)
sets = [
    [PromptFormat(tokenizer).encode(f"What is {word} {i}?", f"It is {word} {i}.") for i in range(4)]
    for word in ("secret", "public")
]
settings = TrainingConfig(
    epochs=2, batch_size=2, gradient_accumulation=1, learning_rate=1e-2, warmup_ratio=0,
    lora=LoraConfig(rank=4, dropout=0), liger_kernels=kernels,
)
train(load_model(Path(folder), config), tokenizer, *sets, settings, Path(output), 0)
"""


@pytest.mark.skipif(
    INSTALLED and torch.accelerator.is_available(), reason="Liger's kernels can run here"
)
def test_kernels_that_cannot_run_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    check_kernels([])
    with pytest.raises(UserError, match="need a GPU" if INSTALLED else "is not installed"):
        check_kernels(["rope"])


@pytest.mark.skipif(not INSTALLED, reason="the extra relearn-llm[gpu] is not installed")
def test_training_is_the_same(tiny_model: Path, tmp_path: Path) -> None:
    curves = []
    for name, kernels in (("plain", []), ("liger", ["rope"])):
        output = tmp_path / name
        subprocess.run(
            [sys.executable, "-c", TRAIN, tiny_model, output, *kernels],
            env=os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
            check=True,
        )
        history = read_jsonl(output / "history.jsonl")
        curves.append([row[term] for row in history for term in ("loss", "retain_kl", "grad_norm")])
    assert curves[1] == pytest.approx(curves[0], rel=1e-4, abs=1e-6)
    assert curves[0][-3] < curves[0][0]
