"""TOFU's figures: its own record, and formulas written out again on random losses."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hmean

from relearn.evaluation.metrics.tofu import from_recorded
from relearn.evaluation.rows import EvaluatedRow, Rows
from relearn.evaluation.scoring import score

losses = st.floats(0.01, 8)


@pytest.fixture(scope="module")
def recorded(data_files: Path) -> dict[str, Any]:
    file = data_files / "recorded" / "tofu_phi_1_5_full_vs_retain90.json"
    return json.loads(file.read_text())


def test_the_benchmarks_record_is_reproduced(recorded: dict[str, Any]) -> None:
    target, retain_model, expected = (
        recorded[name] for name in ("target", "retain_model", "expected")
    )
    found = from_recorded(target, retain_model)
    assert found["model_utility"] == pytest.approx(expected["target_model_utility"], rel=1e-9)
    assert found["forget_quality"] == pytest.approx(expected["forget_quality_pvalue"], rel=1e-9)
    assert found["ks_statistic"] == pytest.approx(expected["ks_statistic"], rel=1e-9)
    assert found["terms"] == pytest.approx(expected["target_terms"], rel=1e-9)
    assert {name: found[name] for name in found["terms"]} == found["terms"]
    other = from_recorded(retain_model, retain_model)
    assert other["model_utility"] == pytest.approx(expected["retain_model_utility"], rel=1e-9)
    assert other["forget_quality"] == 1


def row(set_name: str, loss: float, paraphrased: float, wrong: list[float]) -> EvaluatedRow:
    return EvaluatedRow.model_validate(
        {"set": set_name, "question": "q", "reference": "a b", "generation": "a",
         "answer_log_probs": [-loss * 1.5, -loss * 0.5], "paraphrased_loss": paraphrased,
         "wrong_losses": wrong}
    )  # fmt: skip


rows_of = st.lists(st.tuples(losses, losses, st.lists(losses, min_size=3, max_size=3)), min_size=2,
                   max_size=6)  # fmt: skip


@given(rows_of, rows_of, rows_of)
def test_metrics_are_their_formulas(forget: Any, retain: Any, facts: Any) -> None:
    sets = {"forget": forget, "retain": retain, "world_facts": facts, "real_authors": facts}
    rows: Rows = [row(name, *values) for name, members in sets.items() for values in members]
    values = score(rows, ["probability", "truth_ratio", "rougeL_recall", "model_utility"])
    for name, members in sets.items():
        true = [math.exp(-loss) for loss, _, _ in members]
        if name in ("world_facts", "real_authors"):
            true = [
                p / (p + sum(math.exp(-w) for w in wrong))
                for p, (_, _, wrong) in zip(true, members, strict=True)
            ]
        assert values[f"{name}/probability"] == pytest.approx(np.mean(true))
        ratios = [
            math.prod(math.exp(-w) for w in wrong) ** (1 / 3) / math.exp(-paraphrased)
            for _, paraphrased, wrong in members
        ]
        scores = [min(r, 1 / r) if name == "forget" else max(0, 1 - r) for r in ratios]
        assert values[f"{name}/truth_ratio"] == pytest.approx(np.mean(scores), abs=1e-12)
    parts = [
        values[f"{name}/{metric}"]
        for name in ("retain", "real_authors", "world_facts")
        for metric in ("probability", "rougeL_recall", "truth_ratio")
    ]
    assert values["overall/model_utility"] == pytest.approx(hmean(parts))


def test_forget_quality_needs_a_retain_model(recorded: dict[str, Any]) -> None:
    def rows(model: str) -> list[EvaluatedRow]:
        record = recorded[model]["eval_log_forget.json"]
        fields = ("avg_gt_loss", "avg_paraphrased_loss", "average_perturb_loss")
        return [row("forget", *(record[field][i] for field in fields)) for i in record[fields[0]]]

    names = ["forget_quality", "ks_statistic"]
    assert score(rows("target"), names) == {}
    values = score(rows("target"), names, retain_model=rows("retain_model"))
    expected = recorded["expected"]
    assert values == pytest.approx(
        {
            "overall/forget_quality": expected["forget_quality_pvalue"],
            "overall/ks_statistic": expected["ks_statistic"],
        },
        rel=1e-9,
    )
