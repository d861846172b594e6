"""What a bug report says about the machine."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

import relearn
from relearn.base.environment import by_extra, settings
from relearn.base.extras import DISTRIBUTION
from relearn.cli import app
from relearn.cli import env as env_command


def test_versions_are_sorted_by_extra() -> None:
    requirements = [
        "torch>=2.10", "spacy<3.9,>=3.8.2", 'openai>=2.0; extra == "synthesis"',
        'relearn-llm[excel]; extra == "dev"', "no-such-package>=1; extra == 'vllm'",
    ]  # fmt: skip
    known = {"torch": "2.13", "spacy": "3.8.18", "openai": "3.1", "relearn-llm": "0.1"}
    assert by_extra(requirements, known.get) == {
        "": {"torch": "2.13", "spacy": "3.8.18"},
        "synthesis": {"openai": "3.1"},
        "dev": {"relearn-llm": "0.1"},
        "vllm": {"no-such-package": None},
    }


def test_variables_are_named_without_their_values() -> None:
    environment = {
        "HF_TOKEN": "hf_secret",
        "RELEARN_CACHE": "/home/ida/models",
        "HOME": "/home/ida",
    }
    assert settings(environment) == ["HF_TOKEN", "RELEARN_CACHE"]


def test_a_bug_report_has_versions_and_nothing_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(
        env_command, "packages", lambda: {"": {"torch": version("torch")}, "vllm": {"vllm": None}}
    )
    shown = CliRunner().invoke(app, ["env"])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[1].startswith(f"Python {platform.python_version()} on ")
    # Not torch.__version__, which has the build too: "2.13.0+cu130" of the wheel of version 2.13.0.
    assert f"packages: torch {version('torch')}" in lines
    assert "extra vllm: vllm missing" in lines
    assert "HF_TOKEN" in shown.output
    private = ["hf_secret", platform.node(), str(Path.home()), os.getcwd(), "/"]
    assert [each for each in private if each and each in shown.output] == []


def test_the_version_alone_is_the_packages() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert shown.exit_code == 0
    assert shown.output == f"relearn {relearn.__version__}\n"
    assert relearn.__version__ == version(DISTRIBUTION)
