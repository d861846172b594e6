"""Intervals and paired tests against closed forms and scipy's own."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test
from scipy.stats.contingency import crosstab

from relearn.evaluation.metrics.linguistic_score import linguistic_score
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import by_set, score
from relearn.evaluation.significance import interval, intervals, mcnemar, paired_tests, permutation

rng = np.random.default_rng(0)


def test_interval_of_a_rate_is_near_the_normal_one() -> None:
    labels = (rng.random(400) < 0.3).astype(float)
    low, high = interval([labels])
    spread = 1.96 * labels.std() / 20
    assert (low, high) == pytest.approx((labels.mean() - spread, labels.mean() + spread), abs=0.01)
    assert interval([labels]) == (low, high)  # the seed is fixed


def test_interval_of_a_combination_resamples_its_columns_together() -> None:
    parts = [rng.uniform(5, 20, 80), rng.uniform(3, 9, 80), rng.uniform(500, 3000, 80)]
    low, high = interval(parts, linguistic_score)
    expected = bootstrap(
        parts, lambda p, b, h: linguistic_score(p.mean(), b.mean(), h.mean()),
        paired=True, vectorized=False, rng=1, n_resamples=2000,
    ).confidence_interval  # fmt: skip
    assert (low, high) == pytest.approx(tuple(expected), rel=0.02)
    assert low < linguistic_score(*(part.mean() for part in parts)) < high


def test_rows_that_are_all_alike_leave_no_doubt() -> None:
    assert interval([np.ones(9)]) == (1, 1)
    assert interval([np.array([0.4])]) == (0.4, 0.4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "column", [[0, 1], [0, 0, 1], [0.1, 0.1, 0.1, 0.7], [1, 0, 0, 0, 0, 0], [0.3, 0.5]]
)
def test_small_sets_have_an_interval_and_no_warning(column: list[float]) -> None:
    low, high = interval([np.array(column, dtype=float)])
    assert min(column) <= low <= np.mean(column) <= high <= max(column)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_mcnemar_is_the_binomial_test_of_discordant_pairs(pairs: list[tuple[bool, bool]]) -> None:
    before, after = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    table = crosstab(before, after, levels=([0, 1], [0, 1])).count
    b, c = int(table[0, 1]), int(table[1, 0])
    terms = [math.comb(b + c, k) for k in range(min(b, c) + 1)]
    expected = min(1.0, 2 * sum(terms) / 2 ** (b + c)) if b != c else 1.0
    assert mcnemar(before, after) == pytest.approx(expected)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 100), st.floats(0, 1))
def test_permutation_is_scipys(seed: int, shift: float) -> None:
    """Against all 1,024 exchanges; a drawn share of 9,999 has a standard error of 0.005."""
    draw = np.random.default_rng(seed)
    before = draw.normal(size=10)
    after = before + draw.normal(shift, 1, size=10)
    expected = permutation_test(
        (after, before), lambda a, b, axis: a.mean(axis) - b.mean(axis), vectorized=True,
        permutation_type="samples", n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert permutation([before], [after]) == pytest.approx(expected, abs=0.025)


def rows(good: float, words: int) -> list[EvaluatedRow]:
    return [
        EvaluatedRow.model_validate(
            {"set": "forget", "question": f"q{i}", "reference": "a b c d e f", "id": i,
             "generation": " ".join("abcdef"[: 1 + (i + words) % 6]), "perplexity": 5.0 + i % 3,
             "nli_label": "contradiction" if i < good * 60 else "neutral",
             "reference_entities": ["e"], "entity_coverage": 1.0}
        )
        for i in range(60)
    ]  # fmt: skip


def test_models_are_compared_row_by_row() -> None:
    first, second = rows(0.1, 0), rows(0.9, 1)
    for each in (first, second):
        score(each)
    found = paired_tests([r.flat() for r in reversed(first)], [r.flat() for r in second])
    kfr = found["forget/kfr"]
    assert kfr["test"] == "McNemar, exact"
    assert (kfr["first"], kfr["second"], kfr["rows"]) == (0.1, 0.9, 60)
    assert kfr["p_value"] < 1e-9
    rouge = found["forget/rougeL_recall"]
    assert rouge["test"] == "paired permutation"
    assert rouge["p_value"] > 0.5  # the same answers in another order
    assert 0 < found["forget/ls"]["p_value"] <= 1
    same = paired_tests([r.flat() for r in first], [r.flat() for r in first])
    assert same.keys() == found.keys()
    assert all(test["p_value"] == 1 for test in same.values())


def test_rows_that_could_not_be_measured_are_in_no_pair() -> None:
    first, second = rows(0.1, 0), rows(0.9, 1)
    first[0].measured_by = second[1].measured_by = "nothing"
    for each in (first, second):
        score(each, ["kfr"])
    kfr = paired_tests([r.flat() for r in first], [r.flat() for r in second])["forget/kfr"]
    assert (kfr["first"], kfr["second"], kfr["rows"]) == (4 / 58, 52 / 58, 58)


def test_every_value_made_of_rows_has_an_interval() -> None:
    members = rows(0.5, 2)
    values = score(members)
    found = intervals(by_set(members), values | {"general/ability": 0.3})
    assert found.keys() == values.keys()
    assert all(i["low"] <= i["value"] + 1e-9 and i["value"] <= i["high"] + 1e-9
               for i in found.values())  # fmt: skip
