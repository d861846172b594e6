"""The metrics against the record behind the paper's KnowUnDo row, row by row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relearn.base.storage import read_json, read_jsonl, write_jsonl
from relearn.config import EvaluationConfig
from relearn.evaluation.judges.coverage import same_entity
from relearn.evaluation.metrics.linguistic_score import linguistic_score
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import evaluate_generations, judge_rows, score
from relearn.inference.embeddings import embedder

SETS = ("forget", "retain")
LABEL = {"forget": "forgotten", "retain": "retained"}


@pytest.fixture(scope="module")
def record(data_files: Path) -> dict[str, Any]:
    return json.loads((data_files / "recorded" / "relearn_knowundo_llama2_7b.json").read_text())


@pytest.fixture(scope="module")
def expected(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [row | {"set": name} for name in SETS for row in record[name]]


GIVEN = (
    "nli_label", "reference_entities", "generation_entities", "entity_coverage", "perplexity",
)  # fmt: skip


def as_input(row: dict[str, Any], *, judged: bool) -> dict[str, Any]:
    texts = {"question": row["query"], "reference": row["reference"]}
    given = {field: row[field] for field in GIVEN} if judged else {"perplexity": row["perplexity"]}
    return {"set": row["set"], **texts, "generation": row["generation"], **given}


def check(
    rows: list[dict[str, Any]], metrics: dict[str, float], expected: list[dict[str, Any]],
    record: dict[str, Any],
) -> None:  # fmt: skip
    for row, want in zip(rows, expected, strict=True):
        assert row[LABEL[want["set"]]] == int(want["label"])
        for name in ("rouge1_recall", "rougeL_recall"):
            assert row[name] == pytest.approx(want[name], abs=1e-6)
        for name in GIVEN:
            assert row[name] == want[name]
    for name in ("brunet_index", "honore_statistic", "rttr"):
        close = [
            row[name] == pytest.approx(want[name], abs=1e-6)
            for row, want in zip(rows, expected, strict=True)
        ]
        assert all(close), f"{name}: {sum(close)} of {len(close)}"
    for name in SETS:
        summary = record[f"{name}_summary"]
        rate = "kfr" if name == "forget" else "krr"
        assert metrics[f"{name}/{rate}"] == pytest.approx(summary["rate"], abs=1e-9)
        assert metrics[f"{name}/rougeL_recall"] == pytest.approx(summary["rougeL_recall"], abs=1e-6)
        assert metrics[f"{name}/perplexity"] == pytest.approx(summary["PPL"], abs=1e-9)
        assert metrics[f"{name}/ls"] == pytest.approx(summary["LS"], abs=1e-9)


def test_functions_reproduce_the_record(
    record: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    rows = [EvaluatedRow.model_validate(as_input(row, judged=True)) for row in expected]
    # Nothing is left to judge, so that these judges, which do not exist, are never loaded.
    judge_rows(rows, EvaluationConfig(entities="none", similarity="none", entailment="none"))
    metrics = score(rows)
    check([row.flat() for row in rows], metrics, expected, record)


def test_command_reproduces_the_record(
    record: dict[str, Any], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    write_jsonl(file, [as_input(row, judged=True) for row in expected])
    evaluate_generations(file, tmp_path / "out", EvaluationConfig())
    rows, metrics = (
        read_jsonl(tmp_path / "out/rows.jsonl"),
        read_json(tmp_path / "out/metrics.json"),
    )
    check(rows, metrics, expected, record)


@pytest.mark.parametrize("name", SETS)
def test_ls_of_the_published_parts(record: dict[str, Any], name: str) -> None:
    full = record["published_full_set"][name]
    parts = (full["PPL"], full["brunet_index"], full["honore_statistic"])
    assert linguistic_score(*parts) == pytest.approx(full["LS"], abs=1e-9)


def test_offline_judges_agree_with_the_record(expected: list[dict[str, Any]]) -> None:
    """The whole offline pipeline, nothing given; the bounds are what was measured, less a little.

    Measured: see docs/judges.md. Always saying "forgotten" would be right on 0.855 of the forget
    rows, "retained" on 0.76 of the retain rows.
    """
    rows = [EvaluatedRow.model_validate(as_input(row, judged=False)) for row in expected]
    judge_rows(rows, EvaluationConfig())
    metrics = score(rows)
    assert metrics["forget/kfr"] == pytest.approx(0.8545, abs=0.06)
    assert metrics["retain/krr"] == pytest.approx(0.7407, abs=0.06)
    same = [
        row.scores[LABEL[row.set]] == int(want["label"])
        for row, want in zip(rows, expected, strict=True)
    ]
    assert sum(same) / len(same) >= 0.88


def test_matches_of_the_recorded_entities_are_the_recorded_ones(
    expected: list[dict[str, Any]],
) -> None:
    """The record counts matching pairs; 0.65 on our embeddings stands for 0.8 on the paper's."""
    model = embedder("minilm")
    same = 0
    for row in expected:
        sides = row["reference_entities"], row["generation_entities"]
        cosines = model.embed(sides[0]) @ model.embed(sides[1]).T if all(sides) else np.zeros(1)
        pairs = row["entity_coverage"] * len(sides[0])
        same += (cosines >= same_entity(model)).sum() == pytest.approx(pairs, abs=1e-6)
    assert same == 100
