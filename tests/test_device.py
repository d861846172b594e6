"""What runs on a CPU runs on another device: nothing is left in main memory, nothing mixed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from relearn.evaluation.passes import PASSES
from relearn.objectives import OBJECTIVES
from relearn.training.wrappers import WRAPPERS

SCRIPT = Path(__file__).with_name("on_pretended_device.py")
PARTS = [
    *(f"objective_{name}" for name in OBJECTIVES),
    *(f"wrapper_{name}" for name in WRAPPERS),
    *(f"pass_{name}" for name in PASSES),
    *re.findall(r"^@part\ndef (\w+)", SCRIPT.read_text(), re.MULTILINE),
]


@pytest.fixture(scope="module")
def outcome(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong, part by part; in a process of its own, which has the device ever after."""
    path = os.pathsep.join([str(SCRIPT.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, SCRIPT, tiny_model, tmp_path_factory.mktemp("device")],
        capture_output=True, text=True, check=False, timeout=500,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a real device")
@pytest.mark.parametrize("part", PARTS)
def test_on_a_pretended_device(outcome: dict[str, str], part: str) -> None:
    assert outcome[part] == ""
