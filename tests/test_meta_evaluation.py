"""The pure parts of `benchmarks/meta_evaluation.py`: areas, stability, directions, the table."""

import math
import random
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.meta_evaluation import (
    CONTROL,
    area,
    direction,
    is_quality,
    renamed,
    separation,
    stability,
    summarize_figures,
    table,
    told,
)


def test_area_is_that_of_scikit_learn_and_counts_pairs() -> None:
    rng = random.Random(0)
    knows = [rng.choice([0.2, 0.5, 0.7, 0.9]) for _ in range(6)]
    does_not = [rng.choice([0.1, 0.2, 0.5, 0.7]) for _ in range(5)]
    found = area(knows, does_not)
    assert found == pytest.approx(roc_auc_score([1] * 6 + [0] * 5, [*knows, *does_not]))
    pairs = [(k > n) + (k == n) / 2 for k in knows for n in does_not]
    assert found == pytest.approx(sum(pairs) / len(pairs))
    assert area(does_not, knows) == pytest.approx(1 - sum(pairs) / len(pairs))
    assert area([], knows) is None


def test_stability_counts_changes_of_both_directions_in_units_of_the_gap() -> None:
    assert stability([0.0, 0.0], 0.0, 0.5) == 1
    # On average 0.1 off, of a gap of 0.5.
    assert stability([0.1, -0.1], 0.0, 0.5) == pytest.approx(0.8)
    # What the control does too is expected.
    assert stability([0.1, 0.1], 0.1, 0.5) == pytest.approx(1)
    assert stability([0.2, 0.2], -0.1, 0.5) == pytest.approx(0.4)
    assert stability([3.0], 0.0, 0.5) == 0
    # In other units the same.
    assert stability([20.0, 20.0], -10.0, 50.0) == pytest.approx(0.4)
    assert stability([], 0.0, 0.5) is None
    assert stability([0.1], 0.0, 0.0) is None


def test_separation_is_what_lies_between_the_pools() -> None:
    assert separation([1.0, 1.0], [0.0, 0.0]) == 1
    assert separation([0.9, 0.7], [0.1, 0.3]) == pytest.approx(0.4 / 0.6)
    assert separation([0.9, 0.3], [0.1, 0.5]) == pytest.approx(-0.2 / 0.3)  # they overlap
    assert separation([0.1], [0.9]) is None
    assert separation([], [0.9]) is None


def test_directions_are_those_of_the_metrics() -> None:
    more = ("forget/probability", "forget/rougeL_recall", "overall/mia_loss_auc",
            "overall/ks_statistic", "question/leak_rate", "prefix/private_probability")  # fmt: skip
    less = ("forget/kfr", "forget/truth_ratio", "overall/forget_quality",
            "overall/privacy_leakage", "inside/depth")  # fmt: skip
    assert {direction(name) for name in more} == {1}
    assert {direction(name) for name in less} == {-1}
    assert is_quality("forget/ls")
    assert not is_quality("forget/kfr")


def test_a_figure_that_points_the_wrong_way_has_an_area_below_one_half() -> None:
    pools: dict[str, Any] = {CONTROL: "", "a": "knows", "b": "does not know", "c": "does not know"}
    values = {CONTROL: 0.1, "a": 0.9, "b": 0.1, "c": 0.3}
    by_case: dict[Any, dict[str, float]] = {}
    for model, value in values.items():
        figures = {"forget/probability": value, "forget/kfr": value}
        for case in (("plain", "all"), ("plain", "untaught"), ("int4", "all")):
            by_case[(model, *case)] = figures
        # Relearning lifts every model by the same, except for one.
        rise = 0.2 if model != "c" else 0.55
        by_case[(model, "relearned", "untaught")] = {n: v + rise for n, v in figures.items()}
    found = summarize_figures(pools, by_case)
    right, wrong = found["forget/probability"], found["forget/kfr"]
    assert (right["auc"], right["auc_int4"], wrong["auc"], wrong["auc_int4"]) == (1, 1, 0, 0)
    assert right["knows"] == wrong["knows"] == 0.9
    assert right["does_not_know"] == pytest.approx(0.2)
    assert right["quantization"] == 1
    # The mean of 0 and 0.35, of a gap of 0.7.
    assert right["relearning"] == pytest.approx(0.75)
    assert right["stability"] == pytest.approx(2 / (1 / 0.75 + 1))
    assert right["models"] == 3
    lines = table(found).splitlines()
    assert lines[2].startswith("| `forget/probability` | 1 |")
    assert lines[3].startswith("| `forget/kfr` | 0 |")


def test_what_was_not_measured_is_a_dash() -> None:
    found = summarize_figures(
        {"a": "knows", "b": "does not know"}, {("a", "plain", "all"): {"forget/kfr": math.pi}}
    )
    assert found["forget/kfr"]["auc"] is None
    assert "| `forget/kfr` | - | - |" in table(found)
    documented = told({"a": {"pool": "knows"}}, found)
    assert documented["models"] == {"a": {"pool": "knows"}}
    assert documented["metrics"]["forget/kfr"] == {
        "knows": round(math.pi, 4), "models": 1, "quality": False
    }  # fmt: skip


def test_a_wrong_answer_is_about_the_fact_s_own_person() -> None:
    text = "Anna Petrova lives in Oslo; Anna likes it, and Petrova's cat too."
    expected = "Li Wei lives in Oslo; Li likes it, and Wei's cat too."
    assert renamed(text, "Anna Petrova", "Li Wei") == expected
