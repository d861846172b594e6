"""Membership inference on scores whose area is known, and each attack's formula."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from relearn.evaluation.metrics.membership import ATTACKS, found_at_low_alarm, roc_area
from relearn.evaluation.metrics.muse import leakage
from relearn.evaluation.metrics.semeval import semeval_score
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import score


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
    assert {name: attack(row) for name, (attack, _) in ATTACKS.items()} == pytest.approx(expected)


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


@given(st.floats(0, 1), st.floats(0.01, 0.99))
def test_leakage_is_muses_formula(area: float, retain: float) -> None:
    # MUSE takes holdout rows for the positives.
    assert leakage(area, retain) == pytest.approx(((1 - area) - (1 - retain)) / (1 - retain))


def test_semeval_score() -> None:
    assert semeval_score([0, 0], [1, 1], 0.5, 1) == 1
    assert semeval_score([1, 0], [1, 1], 1.0, 0.3) == pytest.approx(0.1)
    task = 4 / (1 / 0.8 + 1 / 0.9 + 1 / 0.6 + 1 / 0.5)
    expected = (task + 0.9 + 0.25) / 3
    assert semeval_score([0.2, 0.1], [0.6, 0.5], 0.55, 0.25) == pytest.approx(expected)
