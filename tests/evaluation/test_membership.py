"""Membership inference on scores whose area is known, and each attack's formula."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from relearn.base.errors import UserError
from relearn.evaluation.metrics.base import chosen_metrics
from relearn.evaluation.metrics.membership import ATTACKS, found_at_low_alarm, roc_area
from relearn.evaluation.metrics.muse import leakage
from relearn.evaluation.metrics.semeval import semeval_score
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import by_set, not_computed, score
from relearn.evaluation.significance import intervals
from relearn.evaluation.suites import load_suite


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 3.0])
def test_area_of_two_normal_distributions(shift: float) -> None:
    """At equal variances the area is Phi(shift / sqrt 2), the power Phi(shift - z(0.99))."""
    rng = np.random.default_rng(0)
    members, others = rng.normal(shift, 1, 40_000), rng.normal(0, 1, 40_000)
    assert roc_area(members, others) == pytest.approx(norm.cdf(shift / 2**0.5), abs=0.01)
    found = found_at_low_alarm(members, others)
    assert found == pytest.approx(norm.cdf(shift - norm.ppf(0.99)), abs=0.01)


def test_ends_of_the_range() -> None:
    assert roc_area([2, 3], [0, 1]) == found_at_low_alarm([2, 3], [0, 1]) == 1
    assert roc_area([0, 1], [2, 3]) == found_at_low_alarm([0, 1], [2, 3]) == 0
    assert roc_area([1, 1], [1, 1]) == 0.5
    assert found_at_low_alarm([1, 1], [1, 1]) == 0


@given(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.lists(st.integers(0, 6), min_size=1,
                                                                    max_size=9))  # fmt: skip
def test_area_counts_the_pairs(members: list[int], others: list[int]) -> None:
    wins = sum((m > o) + (m == o) / 2 for m in members for o in others)
    assert roc_area(members, others) == pytest.approx(wins / len(members) / len(others))
    allowed = [
        np.mean([m >= t for m in members])
        for t in [*members, *others, 99]
        if np.mean([o >= t for o in others]) <= 0.01
    ]
    assert found_at_low_alarm(members, others) == pytest.approx(max(allowed))


numbers = st.lists(st.floats(-9, -0.01), min_size=1, max_size=30)


@given(numbers, st.floats(0.1, 9), st.floats(0.1, 9))
def test_attacks_are_their_formulas(log_probs: list[float], base: float, norm_: float) -> None:
    row = EvaluatedRow.model_validate(
        {"set": "forget", "question": "q", "reference": "an answer", "generation": "",
         "answer_log_probs": log_probs, "answer_z_scores": [2 * p for p in log_probs],
         "base_loss": base, "gradient_norm": norm_}
    )  # fmt: skip
    loss = -sum(log_probs) / len(log_probs)
    lowest = sorted(log_probs)[: max(1, math.floor(0.2 * len(log_probs)))]
    expected = {
        "loss": -loss,
        "zlib": -loss / len(zlib.compress(b"an answer")),
        "min_k": sum(lowest) / len(lowest),
        "min_k_plus_plus": 2 * sum(lowest) / len(lowest),
        "reference": base - loss,
        "gradient_norm": -norm_,
    }
    assert {name: attack(row) for name, (_, attack, _) in ATTACKS.items()} == pytest.approx(
        expected
    )


def likelihoods(name: str, mean: float, seed: int) -> list[EvaluatedRow]:
    rng = np.random.default_rng(seed)
    return [
        EvaluatedRow.model_validate(
            {"set": name, "question": f"q{i}", "reference": "a", "generation": "",
             "answer_log_probs": [-abs(rng.normal(mean, 0.3))] * 3}
        )
        for i in range(60)
    ]  # fmt: skip


def test_known_members_are_found_and_leak() -> None:
    knows = likelihoods("forget", 0.2, 0) + likelihoods("holdout", 3, 1)
    never_saw = likelihoods("forget", 3, 2) + likelihoods("holdout", 3, 3)
    names = ["mia_loss_auc", "mia_loss_tpr", "privacy_leakage", "mia_gradient_norm_auc"]
    values = score(knows, names, retain_model=never_saw)
    assert values["overall/mia_loss_auc"] > 0.99
    assert values["overall/mia_loss_tpr"] > 0.95
    assert values["overall/privacy_leakage"] < -0.95
    assert "overall/mia_gradient_norm_auc" not in values  # nothing says what the gradients are
    assert all("mia_loss" in row.scores for row in knows)
    same = score(never_saw, names, retain_model=never_saw)
    assert same["overall/privacy_leakage"] == 0


@pytest.mark.parametrize(
    ("area", "retain", "leaked"),
    # By hand. MUSE takes holdout rows for the positives, so its areas are 1 less these: where its
    # retain model has 0.5, a model that still knows every row has 0 and leaks -1 (times 100 there).
    [(1.0, 0.5, -1), (0.5, 0.5, 0), (0.0, 0.5, 1), (0.9, 0.6, -0.75), (0.4, 0.6, 0.5)],
)
def test_leakage_is_muses(area: float, retain: float, leaked: float) -> None:
    assert leakage(area, retain) == pytest.approx(leaked)


def test_leakage_of_rows_counted_by_hand() -> None:
    """Of two tokens each the less likely counts, at 40 %."""

    def rows(name: str, lowest: list[float]) -> list[EvaluatedRow]:
        return [
            EvaluatedRow.model_validate(
                {"set": name, "question": f"q{i}", "reference": "a", "generation": "",
                 "answer_log_probs": [-0.1, low]}
            )
            for i, low in enumerate(lowest)
        ]  # fmt: skip

    # Three of the four pairs have the forget row above the holdout row: area 3/4; MUSE's is 1/4.
    evaluated = rows("forget", [-1, -3]) + rows("holdout", [-2, -4])
    # One of four: 1/4; MUSE's is 3/4. (1/4 - 3/4) / (3/4) = -2/3.
    never_saw = rows("forget", [-2, -4]) + rows("holdout", [-1, -3])
    values = score(evaluated, ["privacy_leakage"], retain_model=never_saw)
    assert values["overall/privacy_leakage"] == pytest.approx(-2 / 3)


def test_k_of_min_k_is_an_option() -> None:
    """With 40 % the second least likely of five tokens counts too, and turns the order round."""

    def rows(name: str, lowest: list[list[float]]) -> list[EvaluatedRow]:
        return [
            EvaluatedRow.model_validate(
                {"set": name, "question": f"q{i}", "reference": "a", "generation": "",
                 "answer_log_probs": [-0.1, -0.1, -0.1, *low],
                 "answer_z_scores": [0, 0, 0, *low]}
            )
            for i, low in enumerate(lowest)
        ]  # fmt: skip

    members = rows("forget", [[-1, -8], [-1, -9]]) + rows("holdout", [[-6, -7], [-5, -7.5]])
    for name in ("mia_min_k", "mia_min_k_plus_plus"):
        assert score(members, [f"{name}_auc"])[f"overall/{name}_auc"] == 0
        values = score(members, [f"{name}_auc(k=0.4)", f"{name}_tpr(k=0.4)"])
        assert values == {f"overall/{name}_auc": 1, f"overall/{name}_tpr": 1}
    found = intervals(by_set(members), values, chosen_metrics([f"{name}_auc(k=0.4)"]))
    assert found[f"overall/{name}_auc"]["low"] == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mia_min_k_auc(q=0.4)", "no option 'q'"),
        ("mia_min_k_auc(k=0)", r"k: .* is not a number above 0 and at most 1"),
        ("mia_min_k_auc(k=1.5)", r"k: .* is not a number above 0 and at most 1"),
        ("mia_min_k_auc(k=0.2.1)", r"k: .* is not a number above 0 and at most 1"),
        ("mia_loss_auc(k=0.4)", "no option 'k'"),
        ("rougeL_recall(k=0.4)", "no option 'k'"),
        ("mia_min_k(k=0.4)", "no metric is called"),
    ],
)
def test_options_that_a_metric_does_not_take(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        chosen_metrics([name])


def test_a_metric_is_chosen_once() -> None:
    with pytest.raises(UserError, match="chosen twice"):
        chosen_metrics(["mia_min_k_auc", "mia_min_k_auc(k=0.4)"])


@pytest.mark.parametrize("suite", ["tofu", "muse"])
def test_benchmarks_take_forty_percent(suite: str) -> None:
    names = load_suite(suite).metric_names()
    assert {n for n in names if "min_k" in n} == {
        f"mia_min_k{plus}_{figure}(k=0.4)"
        for plus in ("", "_plus_plus")
        for figure in ("auc", "tpr")
    }


def test_metrics_that_cannot_be_computed_are_named_with_the_reason() -> None:
    rows = likelihoods("forget", 1, 0)
    names = ["mia_loss_auc", "forget_quality", "privacy_leakage", "truth_ratio", "krr", "semeval"]
    reasons = not_computed(rows, names, score(rows, names))
    no_holdout = "needs a holdout set: --data holdout=FILE, or in a run data.holdout"
    assert reasons == {
        "overall/mia_loss_auc": no_holdout,
        "overall/forget_quality": "forget: 60 of 60 rows have no wrong answers",
        "overall/privacy_leakage": no_holdout,
        "forget/truth_ratio": "60 of 60 rows have no wrong answers",
        "retain/krr": "there is no retain set",
        "overall/semeval": "needs forget/verbatim_memorization and forget/exact_match and "
        "retain/verbatim_memorization and retain/exact_match and overall/mia_loss_auc and "
        "general/ability",
    }
    both = rows + likelihoods("holdout", 1, 1)
    names = ["mia_loss_auc", "privacy_leakage"]
    assert not_computed(both, names, score(both, names)) == {
        "overall/privacy_leakage": "needs a retain model: --set evaluation.retain_model=MODEL"
    }


def test_semeval_score() -> None:
    assert semeval_score([0, 0], [1, 1], 0.5, 1) == 1
    assert semeval_score([1, 0], [1, 1], 1.0, 0.3) == pytest.approx(0.1)
    task = 4 / (1 / 0.8 + 1 / 0.9 + 1 / 0.6 + 1 / 0.5)
    expected = (task + 0.9 + 0.25) / 3
    assert semeval_score([0.2, 0.1], [0.6, 0.5], 0.55, 0.25) == pytest.approx(expected)
