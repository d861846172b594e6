"""`relearn audit` as its users call it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from helpers.taught import RECORDS
from relearn.base.errors import UserError
from relearn.base.storage import read_json, read_jsonl, write_jsonl
from relearn.cli import app

Audit = Callable[..., Result]


@pytest.fixture
def audit(knowing: Path, blank: Path, tmp_path: Path) -> Audit:
    """Audits a model that has forgotten nothing, beside its controls."""
    for name, records in {"forget": RECORDS[:2], "retain": RECORDS[2:]}.items():
        write_jsonl(tmp_path / f"{name}.jsonl", [r.model_dump(mode="json") for r in records])

    def call(*arguments: str) -> Result:
        models = {"target": knowing, "never_saw": blank, "mine": knowing}
        named = [each for name, path in models.items() for each in ("--models", f"{name}={path}")]
        sets = [x for s in ("forget", "retain") for x in (f"--{s}", str(tmp_path / f"{s}.jsonl"))]
        output = ["--output", str(tmp_path / "audit")]
        command = ["audit", *named, *sets, *output, *arguments]
        return CliRunner().invoke(app, command, catch_exceptions=False)

    return call


def test_a_threshold_that_is_crossed_ends_with_three(audit: Audit, tmp_path: Path) -> None:
    attacks = ["--attack", "question", "--attack", "prefix"]
    result = audit(*attacks, "--option", "prefix.kept=[1]", "--fail-above", "worst=0.5")
    assert result.exit_code == 3
    assert "mine: worst 1.000 is above 0.5" in result.output
    assert "mine, worst case:" in result.output
    rows = read_jsonl(tmp_path / "audit" / "prefix.jsonl")
    assert {row["variant"] for row in rows} == {"k=1", "k=private"}
    assert read_json(tmp_path / "audit" / "summary.json")["control"] == "never_saw"
    result = audit(*attacks, "--option", "prefix.kept=[1]", "--fail-above", "worst=1")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "deep"], "there is no budget 'deep'. Known: quick"),
        (["--attack", "prefixes"], "Did you mean 'prefix'"),
        (["--attack", "question", "--fail-above", "prefix=0.1"], "that attack is not made"),
        (["--fail-above", "worst=2"], "worst=2 is no rate"),
        (["--fail-above", "worst"], "'worst' is not ATTACK=RATE"),
        (["--option", "sampling=3"], r"'sampling=3' is not ATTACK\.KNOB=VALUE"),
        (["--option", "sampling.samples=["], "the value is no YAML"),
        (["--option", "sampling.sample=3"], "no option 'sample' here. Did you mean 'samples'"),
        (["--models", "mine=elsewhere"], "elsewhere"),
        (["--control", "elsewhere"], "elsewhere"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    audit: Audit, tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        audit(*arguments)
    assert not (tmp_path / "audit").exists()
