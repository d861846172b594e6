"""What is installed: every data file, and versions with a lower bound."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from helpers.lowest_versions import PROJECT, lowest
from relearn.base.extras import DISTRIBUTION
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
    own = re.fullmatch(rf"{DISTRIBUTION}\[([\w,]+)\]", extras["dev"][0])
    assert own
    brought = [each for name in own[1].split(",") for each in extras[name]]
    assert {"excel", "report", "synthesis"} < set(own[1].split(","))
    assert len(pins) == len(project["dependencies"] + extras["dev"][1:] + brought)
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


# `relearn` on PyPI is a stranger's: nobody is to be sent there, for the package or for an extra.
STRANGERS = re.compile(
    r"(?<![\w-])relearn\[[a-z]"
    r"|(?<![\w-])(?:pip3?|pipx|uv)\s[^\n`#|&]*\b(?:install|add|download)\b[^\n`#|&]*[\s'\"]relearn(?![\w-])"
    r"|(?<![\w-])(?:uvx|pipx run|uv tool run)\s(?![^\n`]*--(?:from|spec))[^\n`]*\brelearn(?![\w-])"
)


def test_no_text_sends_anybody_to_a_strangers_package() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    found = []
    for name in listed:
        if not (ROOT / name).exists():
            continue
        for line in (ROOT / name).read_text(encoding="utf-8", errors="replace").splitlines():
            found += [f"{name}: {line}"] * bool(STRANGERS.search(line))
    assert len(listed) > 300
    assert found == []


def test_what_sends_to_a_strangers_package_is_seen() -> None:
    for name, seen in (("relearn", True), (DISTRIBUTION, False)):
        for command in (
            "pip install {}", "pip install --upgrade '{}[gpu]'", "needs {}[vllm]", "uv add {}",
            "uv pip install {}==0.1", "uvx {} run", "`pipx install {}`", "uv tool install {}",
        ):  # fmt: skip
            assert bool(STRANGERS.search(command.format(name))) is seen, command
    for command in ("uvx --from . relearn run", "pip install . # then `relearn` is there",
                    "pip install . && relearn fetch", "~/.cache/relearn"):  # fmt: skip
        assert not STRANGERS.search(command), command
