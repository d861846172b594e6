"""What is installed: every data file, and versions with a lower bound."""

import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from helpers.lowest_versions import PROJECT, lowest
from relearn.cli import app

ROOT = PROJECT.parent
PYPROJECT = tomllib.loads(PROJECT.read_text())


def test_every_data_file_is_packaged() -> None:
    package = PROJECT.parent / "src" / "relearn"
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["relearn"]
    packaged = {file for pattern in patterns for file in package.glob(pattern)}
    files = {file for file in package.rglob("*") if file.is_file()}
    modules = {file for file in files if file.suffix in (".py", ".pyc")}
    assert files - modules - packaged == set()
    for pattern in patterns:
        assert any(package.glob(pattern)), f"{pattern} matches nothing"


def test_every_dependency_has_a_lower_bound_that_the_lane_installs() -> None:
    project = PYPROJECT["project"]
    pins = lowest(project, {"torch": "9.9"})
    extras = project["optional-dependencies"]
    brought = extras["dev"][1:] + extras["excel"] + extras["synthesis"]
    assert extras["dev"][0] == "relearn[excel,synthesis]"
    assert len(pins) == len(project["dependencies"] + brought)
    assert "torch==9.9" in pins
    (spacy,) = (pin for pin in pins if pin.startswith("spacy"))
    assert "," not in spacy


def test_requirements_without_a_lower_bound_are_left_out() -> None:
    extras = {"dev": ["me[more]", "c-d>=0.1"], "more": ["e>=3"], "other": ["f>=4"]}
    project = {"name": "me", "dependencies": ["a>=1.2,<2", "b"], "optional-dependencies": extras}
    assert lowest(project, {}) == ["a==1.2", "e==3", "c-d==0.1"]


@pytest.mark.parametrize(
    "file", [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), ROOT / "Containerfile"],
    ids=lambda file: file.name,
)  # fmt: skip
def test_workflows_call_commands_that_there_are(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    called = set(re.findall(r"(?:run: |&& |RUN |gate\n +run: )relearn ([a-z]+)", text))
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert called
    assert called - commands.keys() == set()


def test_a_model_is_pushed_only_after_the_audit_has_passed() -> None:
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    steps = [step.get("run", "") for step in release["jobs"]["unlearn"]["steps"]]
    (gate,) = (i for i, step in enumerate(steps) if "relearn audit" in step)
    (push,) = (i for i, step in enumerate(steps) if "relearn push" in step)
    assert gate < push
    assert "--fail-above" in steps[gate]
    # A step that fails stops the job unless it says otherwise.
    assert not any(
        {"continue-on-error", "if"} & step.keys() for step in release["jobs"]["unlearn"]["steps"]
    )
