"""Files of the user's own: the very ones that docs/extend.md shows, through the public commands."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from relearn.audit import ATTACKS
from relearn.audit.base import answered
from relearn.audit.facts import Fact
from relearn.audit.pipeline import chosen_attacks
from relearn.base.errors import UserError
from relearn.base.extensions import load_extensions
from relearn.base.storage import read_jsonl, write_jsonl, write_text
from relearn.cli import app
from relearn.config import AuditConfig, TrainingConfig, load_config
from relearn.data.records import Record
from relearn.evaluation.judges.entities import ENTITIES
from relearn.evaluation.metrics import METRICS
from relearn.objectives import OBJECTIVES, TokenStatistics
from relearn.synthesis.backends import BACKENDS
from relearn.training.checks import check_training

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))


@pytest.fixture(autouse=True)
def _forgotten_afterwards() -> Iterator[None]:
    """What a test loads is gone after it: no other test sees it."""
    registries = [OBJECTIVES, METRICS, BACKENDS, ENTITIES, ATTACKS]
    before = [dict(registry) for registry in registries]
    yield
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)
    for name in [name for name in sys.modules if name.startswith("relearn_extension_")]:
        del sys.modules[name]


def example(name: str) -> str:
    return str(DOCS / "examples" / f"{name}.py")


def relearn(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_the_page_shows_these_files_and_each_is_short() -> None:
    page = (DOCS / "extend.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for file in EXAMPLES:
        text = file.read_text(encoding="utf-8")
        assert text in shown, f"docs/extend.md does not show {file.name} as it is"
        assert f"examples/{file.name}" in page
        assert len(text.splitlines()) < 40
    assert len(EXAMPLES) == 5


def test_an_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relearn.cli.common.console.width", 200)
    listed = relearn("--extension", example("lowest_ascent"), "list", "objectives")
    assert "share = 0.5: number above 0 and at most 1. Share of the forget tokens" in listed
    stats = TokenStatistics(
        row=torch.tensor([0, 0, 0, 0, 1]),
        is_forget=torch.tensor([True, False]),
        log_probs=torch.tensor([-4.0, -1.0, -3.0, -2.0, -9.0]),
    )
    # Of the four forget tokens the two least likely count; the mean is over all four.
    assert OBJECTIVES["lowest_ascent"](stats) == pytest.approx((-4 - 3) / 4)
    assert OBJECTIVES["lowest_ascent"](stats, share=0.25) == pytest.approx(-4 / 4)
    wrong = TrainingConfig(objective="lowest_ascent", objective_options={"share": 1.5})
    with pytest.raises(UserError, match=r"objective_options\.share: 1\.5 is not a number above 0"):
        check_training(wrong)


def test_a_metric_and_a_judge(tmp_path: Path) -> None:
    judged = {"nli_label": "neutral", "entity_coverage": 0.0, "embedding_similarity": 0.5}
    rows = [
        {"set": name, "question": "Where does Ida live?", "reference": "Ida lives in Narvik.",
         "generation": generation} | judged
        for name, generation in (("forget", "I can't say."), ("retain", "In Narvik."))
    ]  # fmt: skip
    write_jsonl(tmp_path / "rows.jsonl", rows)
    files = ",".join(example(name) for name in ("refusal_rate", "capitals"))
    relearn(
        "evaluate", "--generations", str(tmp_path / "rows.jsonl"), "--output",
        str(tmp_path / "out"), "--set", f"extensions=[{files}]", "--set",
        "evaluation.entities=capitals",
    )  # fmt: skip
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["forget/refusal_rate"] == 1
    assert figures["retain/refusal_rate"] == 0
    found = read_jsonl(tmp_path / "out" / "rows.jsonl")
    assert [row["reference_entities"] for row in found] == [["narvik"], ["narvik"]]
    assert [row["refusal_rate"] for row in found] == [1, 0]


def test_a_backend(tmp_path: Path) -> None:
    record = {"id": "1", "question": "Where does Ida Lind live?", "answer": "She lives in Narvik."}
    write_jsonl(tmp_path / "forget.jsonl", [record])
    relearn(
        "--extension", example("polite"), "synthesize", "--forget", str(tmp_path / "forget.jsonl"),
        "--output", str(tmp_path / "out"), "--backend", "polite", "--set", "synthesis.variants=0",
        "--set", "synthesis.generic_ratio=0",
    )  # fmt: skip
    answers = {row["answer"] for row in read_jsonl(tmp_path / "out" / "augmented.jsonl")}
    assert "I would rather not talk about Ida Lind." in answers


class Obedient:
    """A model that tells whatever it is ordered to tell."""

    def encode(self, question: str) -> str:
        return question

    def go_on(self, questions: Sequence[str], _seeds: Sequence[int | None]) -> list[str]:
        return ["In Narvik." if "order" in question else "Who knows?" for question in questions]


def test_an_attack() -> None:
    relearn("--extension", example("insist"), "list", "attacks")
    attack = chosen_attacks(AuditConfig(attacks=["insist"]))["insist"]
    fact = Fact(Record(id="1", question="Where does Ida live?", answer="Ida lives in Narvik."))
    model: Any = Obedient()
    prompts: Any = attack.work(model, [fact], **attack.knobs["quick"])
    assert [attempt.told for attempt in answered(model, prompts)] == [True]


def test_no_code_is_run_unless_it_is_named(tmp_path: Path) -> None:
    code, mark = tmp_path / "code.py", tmp_path / "mark"
    write_text(code, f"open({str(mark)!r}, 'w').close()\n")
    write_text(tmp_path / "config.yaml", f"extensions: [{code}]\n")
    # A run folder's configuration is only read.
    assert load_config(tmp_path / "config.yaml").extensions == [str(code)]
    assert not mark.exists()
    load_extensions([str(code)])
    assert mark.exists()
    mark.unlink()
    load_extensions([str(code)])
    assert not mark.exists(), "it was run twice"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nraise KeyError('gone')\n", r"mine\.py:2: KeyError: 'gone'"),
        ("x = 1\nx = (\n", r"mine\.py:2: SyntaxError"),
        ("import no_such_module\n", r"mine\.py:1: ModuleNotFoundError"),
        ("from relearn.objectives import objective\nobjective('npo')(print)\n",
         r"mine\.py:2: .*two objectives are called 'npo'"),
        ("from relearn.evaluation.metrics import metric\n"
         "metric('m', label='M', needs=('generatoin',))(len)\n", r"no field generatoin"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_shown_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    write_text(tmp_path / "mine.py", text)
    with pytest.raises(UserError, match=message):
        load_extensions([str(tmp_path / "mine.py")])


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    for name in ("absent.py", "."):
        with pytest.raises(UserError, match="is not a Python file"):
            load_extensions([str(tmp_path / name)])
