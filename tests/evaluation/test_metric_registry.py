"""A metric is described in its own file; docs/metrics.md and `relearn list metrics` repeat it."""

import math
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relearn.cli import app
from relearn.cli.lists import metrics
from relearn.evaluation.metrics import METRICS, RECALLED, EvaluatedRow, Metric, metric
from relearn.evaluation.metrics.base import Figure
from relearn.evaluation.scoring import score

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_, *ROWS = metrics()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_page_says_what_the_metric_says(row: tuple[str, ...]) -> None:
    name, *cells = row
    assert all(cells)
    line = " | ".join([f"| `{name}`", *(cell.replace("|", "\\|") for cell in cells)]) + " |"
    assert line in PAGE.read_text(encoding="utf-8"), f"docs/metrics.md lacks this line:\n{line}"


def test_the_page_has_no_other_metrics() -> None:
    tables = re.findall(
        r"^\| metric .*\n\|[-| ]+\n((?:\|.*\n)+)", PAGE.read_text("utf-8"), re.MULTILINE
    )
    named = [name for table in tables for name in re.findall(r"^\| `(\w+)`", table, re.MULTILINE)]
    assert sorted(named) == sorted(METRICS)


def test_the_command_lists_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relearn.cli.common.console.width", 400)
    listed = CliRunner().invoke(app, ["list", "metrics"]).output
    (line,) = [line for line in listed.splitlines() if " rougeL_recall " in line]
    for part in ("in the same order", "0 to 1", "lower / higher", "Lin 2004"):
        assert part in line


@pytest.mark.parametrize(
    ("better", "forget", "retain", "good"),
    [
        (True, "higher", "higher", "higher"),
        (False, "lower", "lower", "lower"),
        (None, None, None, "-"),
        (RECALLED, "lower", "higher", "lower / higher"),
        ({"forget": True}, "higher", None, "higher / -"),
    ],
)
def test_directions(better: object, forget: str, retain: str, good: str) -> None:
    figure = Figure(label="F", higher_is_better=better)  # type: ignore[arg-type]
    assert figure.direction("forget_unseen") == forget
    assert figure.direction("retain") == figure.direction("overall") == retain
    assert figure.good == good


def test_ranges_in_words() -> None:
    ranges = [(0, 1), (-1, 1), (1, math.inf), (0, 1_000_000)]
    words = [Figure(label="F", range=each).values for each in ranges]
    assert words == ["0 to 1", "-1 to 1", "1 and up", "0 to 1,000,000"]


def test_every_value_is_in_its_range() -> None:
    answers = ["", "I don't know.", "Ida lives in Narvik.", "the the the the the the the the"]
    rows = [
        EvaluatedRow(
            set=name, question="Where does Ida live?", reference="Ida lives in Narvik.",
            generation=answer, perplexity=7.0, plain_perplexity=1.0, nli_label="neutral",
            reference_entities=["narvik"], entity_coverage=0.5, embedding_similarity=-0.5,
            answer_log_probs=[-1.0, -2.0], answer_greedy=[True, False], continuation=answer,
            continuation_reference="Narvik.", paraphrased_loss=1.0, wrong_losses=[0.5, 3.0],
        )
        for answer in answers
        for name in ("forget", "retain")
    ]  # fmt: skip
    values = score(rows, [name for name, each in METRICS.items() if isinstance(each, Metric)])
    assert len(values) >= 40
    for key, value in values.items():
        low, high = METRICS[key.partition("/")[2]].range
        assert low <= value <= high, key


def test_a_metric_is_the_mean_of_its_rows_scores() -> None:
    try:
        metric("length", label="L", column="letters", leaves_out=True)(
            lambda row: len(row.generation) or None
        )
        rows = [
            EvaluatedRow(set="retain", question="", reference="", generation=text)
            for text in ("ab", "", "abcd")
        ]
        assert score(rows, ["length"]) == {"retain/length": 3, "retain/length_unmeasured": 1}
        assert [row.scores for row in rows] == [{"letters": 2}, {}, {"letters": 4}]
    finally:
        METRICS.pop("length", None)
