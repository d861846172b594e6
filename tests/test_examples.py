"""The scripts in examples/, the notebook and the tutorial, as a reader runs them."""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TRL, RELEARN = (EXAMPLES / f"dpo_with_{name}.py" for name in ("trl", "relearn"))


def output_of(*command: str | Path, folder: Path) -> str:
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = os.environ | {"PATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_shows_both_scripts_and_what_differs() -> None:
    page = (ROOT / "docs" / "how-to" / "trl.md").read_text("utf-8")
    before, after = TRL.read_text("utf-8"), RELEARN.read_text("utf-8")
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm=""))
    assert "\n".join(lines[2:]) in page
    assert after in page
    removed = [line for line in lines[2:] if line.startswith("-")]
    assert len(removed) == 3


def test_the_trainer_runs_in_place_of_trls(tmp_path: Path, tiny_model: Path) -> None:
    output_of(sys.executable, RELEARN, tiny_model, tmp_path / "out", folder=tmp_path)
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_trls_own_script_runs(tmp_path: Path, tiny_model: Path) -> None:
    pytest.importorskip("trl")
    output_of(sys.executable, TRL, tiny_model, tmp_path / "out", folder=tmp_path)
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.slow
def test_twenty_lines(tmp_path: Path) -> None:
    script = EXAMPLES / "unlearn_in_20_lines.py"
    verdict, *answers = output_of(sys.executable, script, folder=tmp_path).splitlines()
    assert verdict.startswith("The model has forgotten")
    assert "  before: At 14 Alder Street in Northwick, above the chandler's shop." in answers


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    nbformat, nbclient = (pytest.importorskip(name) for name in ("nbformat", "nbclient"))
    notebook = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert notebook.cells[-1].outputs


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8").partition("## Two files")[2]
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) >= 6
    for block in blocks:
        output_of("bash", "-euc", block, folder=tmp_path)
    assert (tmp_path / "runs" / "first" / "report.html").is_file()
    assert (tmp_path / "forgotten-model" / "model.safetensors").is_file()
