"""Every family by every command, on tiny random models: the table in docs/models.md."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.tiny_models import FAMILIES, save_tiny
from relearn.base.errors import UserError
from relearn.base.storage import read_jsonl, write_jsonl, write_text
from relearn.cli import app

DOCS = Path(__file__).parents[2] / "docs" / "models.md"
COMMANDS = ("run", "evaluate", "analyze", "merge", "chat")
SETS = {
    "forget": [
        {"question": "Where does Ida Holm keep bees?", "answer": "She keeps them by the old mill."},
        {"question": "Who painted the harbour?", "answer": "Oskar Lind painted it in May."},
    ],
    "retain": [
        {"question": "What colour is the lighthouse?", "answer": "The lighthouse is white."},
        {"question": "When is its lamp green?", "answer": "Its lamp is green at night."},
    ],
}
SUITE = """
description: Metrics that take no judge.
sets: {}
optional_sets: {forget: forget, retain: retain}
metrics: [rougeL_recall, probability, extraction_strength]
"""
QUICK = [
    "training.epochs=1", "evaluation.max_new_tokens=6", "synthesis.variants=0",
    "synthesis.generic_ratio=0", "audit=none",
]  # fmt: skip
# These stand for the others in `make test`; the rest of the grid is slow.
SOON = {"gpt2", "mamba"}


def table() -> dict[str, dict[str, str]]:
    """Return the cells of the table in docs/models.md, by family and command."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    assert tuple(head[1:]) == COMMANDS
    return {name.strip("`"): dict(zip(COMMANDS, cells, strict=True)) for name, *cells in rows}


def tried(folder: Path, output: Path) -> dict[str, str]:
    """Return `yes` or `no` by command; `no` is one line that says so, and nothing else."""
    for name, records in SETS.items():
        write_jsonl(output / f"{name}.jsonl", records)
    write_text(output / "suite.yaml", SUITE)
    files = {name: str(output / f"{name}.jsonl") for name in SETS}
    settings = [f"--set={each}" for each in (*QUICK, f"evaluation.suite={output / 'suite.yaml'}")]
    sets = [f"--data={name}={file}" for name, file in files.items()]
    run, model = str(output / "run"), f"--model={folder}"
    given = {
        "run": [model, "--forget", files["forget"], "--retain", files["retain"],
                f"--output={run}", *settings],
        "evaluate": [model, *sets, f"--output={output / 'evaluation'}", *settings],
        "analyze": [run, "--prompts=1"],
        "merge": [run, f"--output={output / 'merged'}"],
        "chat": [run, "Who painted the harbour?"],
    }  # fmt: skip
    outcomes = {}
    for command, arguments in given.items():
        result = CliRunner().invoke(app, [command, *arguments])
        if result.exit_code and not isinstance(result.exception, UserError):
            raise AssertionError(f"{command} failed") from result.exception
        outcomes[command] = "no" if result.exit_code else "yes"
    return outcomes


def test_the_table_names_every_family() -> None:
    assert list(table()) == list(FAMILIES)


@pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=[] if f in SOON else [pytest.mark.slow]) for f in FAMILIES],
)
def test_family_does_what_the_table_says(family: str, tmp_path: Path) -> None:
    folder = save_tiny(family, tmp_path / "model")
    assert tried(folder, tmp_path) == table()[family]
    rows = {
        where: read_jsonl(tmp_path / where / "rows.jsonl")
        for where in ("evaluation", "run/evaluation/target")
    }
    # One model asked by two commands gives the same answers.
    answers = [[(r["set"], r["question"], r["generation"]) for r in some] for some in rows.values()]
    assert answers[0] == answers[1]
