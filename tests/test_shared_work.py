"""Analysis and audit in two processes: the work is shared, and the results are those of one."""

import json
import runpy
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from helpers.analyses import write_sets
from helpers.processes import in_two_processes

# Counts what this process itself computes, by the function that does it.
JOB = """
import json
import os
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

from relearn.analysis.analyze import AnalysisSettings
from relearn.analysis import command as analysis
from relearn.analysis.inputs import from_options
from relearn.audit import command, pipeline
from relearn.base.distributed import shared_out
from relearn.base.errors import UserError

COUNTED = [
    "analysis.observe.label_hidden_states", "analysis.free_answers._answered",
    "analysis.analyze.trace", "analysis.analyze.activation_patching", "analysis.weights._row",
    "inference.generation.continuations", "inference.likelihood.batch_log_probs",
    "audit.inside._looked_into", "audit.membership.answer_statistics",
    "audit.membership.gradient_norm",
]
ATTACKS = ["question", "sampling", "prefix", "membership", "inside", "relearning", "soft_prompt"]
OPTIONS = {
    "relearning": {"ways": ["half"], "rates": [1e-3], "steps": [1, 2]},
    "sampling": {"samples": 3},
    "soft_prompt": {"vectors": 2, "steps": [1]},
}
calls = Counter()

def counted(name, work):
    def call(*arguments, **options):
        calls[name] += 1
        return work(*arguments, **options)
    return call

def work(output):
    calls.clear()
    settings = AnalysisSettings(prompts=4, keys=2, traced=4, rows=1, max_new_tokens=6)
    subject = from_options(["target=target", "ga=ga"], "forget.jsonl", "retain.jsonl")
    analysis.run_analysis(subject, output / "analysis", settings)
    command.audit(
        models={"target": "target", "ga": "ga"},
        forget="forget.jsonl", retain="retain.jsonl",
        attacks=ATTACKS, options=OPTIONS, budget="thorough", output=output / "audit",
    )
    return dict(calls)

def fail(number):
    if os.environ["RANK"] == "1":
        raise ValueError("one of two")

pipeline._BATCH = 2
analysis.write_files = lambda *_: None  # charts take the leader's time alone
for place in COUNTED:
    module, name = place.rsplit(".", 1)
    module = import_module(f"relearn.{module}")
    setattr(module, name, counted(name, getattr(module, name)))
if __name__ == "__main__":
    try:  # the first thing that they do
        command.audit(models={"mine": "nowhere"}, forget="forget.jsonl", output="nothing")
    except UserError as error:
        assert error.elsewhere == (os.environ["RANK"] == "1")
    print(json.dumps(work(Path("two"))))
    shared_out(fail, range(2))
"""


@pytest.fixture
def models(tiny_model: Path, tmp_path: Path) -> Path:
    """A folder with a target, an unlearned model, and the two sets."""
    write_sets(tmp_path)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    for name in ("target", "ga"):
        for parameter in model.parameters():
            parameter.data += torch.randn_like(parameter) * 0.05
        shutil.copytree(tiny_model, tmp_path / name)
        model.save_pretrained(tmp_path / name)
    return tmp_path


def test_two_processes_share_the_work_and_find_the_same(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of both, before, is raised in both and told by one; a failure of one ends both."""
    codes, said, errors = in_two_processes(models, JOB)
    assert codes == [1, 1], errors
    assert "one of two" in errors
    ours, theirs = map(json.loads, said)
    monkeypatch.chdir(models)
    alone = runpy.run_path("job.py")["work"](Path("one"))
    for name, count in alone.items():
        assert ours[name] + theirs[name] == count, name
        assert min(ours[name], theirs[name]) >= count // 3, name

    one, two = (
        sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())
        for folder in ("one", "two")
    )
    assert one == two
    for name in one:
        pair = Path("one", name), Path("two", name)
        if name.endswith(".parquet"):
            pd.testing.assert_frame_equal(*map(pd.read_parquet, pair))
        elif name.endswith((".json", ".jsonl")):
            assert pair[0].read_bytes() == pair[1].read_bytes(), name
