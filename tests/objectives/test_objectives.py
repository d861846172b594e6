"""Every objective against its formula, written out token by token with plain floats."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from helpers.batches import (
    Row,
    batches,
    loss,
    mean,
    mean_kl,
    mean_log_prob,
    of,
    softmax,
    statistics,
    with_vocabulary,
)
from relearn.base.errors import UserError
from relearn.objectives import OBJECTIVES
from relearn.objectives.pdu import dual_ascent
from relearn.objectives.regularizers import retain_terms
from relearn.objectives.rmu import control_vector


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > -30 else x


def log_ratio(row: Row) -> float:
    return sum(row.log_probs) - sum(row.reference_log_probs)


def forget_probs(rows: list[Row]) -> list[float]:
    return [math.exp(x) for row in of(rows, "forget") for x in row.log_probs]


def dpo(rows: list[Row], beta: float) -> float:
    pairs = zip(of(rows, "chosen"), of(rows, "forget"), strict=True)
    margins = [log_ratio(chosen) - log_ratio(forget) for chosen, forget in pairs]
    return mean([-2 / beta * log_sigmoid(beta * margin) for margin in margins])


def forget_tokens(rows: list[Row]) -> list[tuple[int, int, list[float], list[float]]]:
    """Place in the answer, target, policy's and reference's logits of each forget token."""
    return [
        (i, *token)
        for row in of(rows, "forget")
        for i, token in enumerate(
            zip(row.targets, row.logits.tolist(), row.reference_logits.tolist(), strict=True)
        )
    ]


def cross_entropy(target: list[float], distribution: list[float]) -> float:
    return -sum(t * math.log(p) for t, p in zip(target, distribution, strict=True))


@given(batches())
def test_ga_is_the_mean_log_prob(rows: list[Row]) -> None:
    assert loss("ga", rows) == pytest.approx(mean_log_prob(rows, "forget"))


@given(batches())
def test_grad_diff_is_ascent_on_forget_and_descent_on_retain(rows: list[Row]) -> None:
    expected = mean_log_prob(rows, "forget") - mean_log_prob(rows, "retain")
    assert loss("grad_diff", rows) == pytest.approx(expected)


@given(batches())
def test_kl_min_is_ascent_on_forget_and_kl_on_retain(rows: list[Row]) -> None:
    expected = mean_log_prob(rows, "forget") + mean_kl(rows)
    assert loss("kl_min", rows) == pytest.approx(expected)


@given(batches())
def test_sft_is_the_cross_entropy(rows: list[Row]) -> None:
    assert loss("sft", rows) == pytest.approx(-mean_log_prob(rows, "forget"))


@given(batches())
def test_relearn_is_ce_plus_ce_plus_kl(rows: list[Row]) -> None:
    expected = -mean_log_prob(rows, "forget") - mean_log_prob(rows, "retain") + mean_kl(rows)
    assert loss("relearn", rows) == pytest.approx(expected)


@given(batches())
def test_idk_is_ce_on_both(rows: list[Row]) -> None:
    expected = -mean_log_prob(rows, "forget") - mean_log_prob(rows, "retain")
    assert loss("idk", rows) == pytest.approx(expected)


@given(batches(), st.floats(0.01, 2))
def test_npo_is_its_formula(rows: list[Row], beta: float) -> None:
    npo = mean([-2 / beta * log_sigmoid(-beta * log_ratio(row)) for row in of(rows, "forget")])
    assert loss("npo", rows, "none", beta=beta) == pytest.approx(npo)


@given(batches(), st.floats(0.1, 5), st.floats(-2, 2), st.floats(0.1, 1))
def test_simnpo_is_its_formula(rows: list[Row], beta: float, gamma: float, weight: float) -> None:
    rewards = [-beta * mean(row.log_probs) - gamma for row in of(rows, "forget")]
    expected = weight * mean([-2 / beta * log_sigmoid(reward) for reward in rewards])
    ours = loss("simnpo", rows, "none", beta=beta, gamma=gamma, weight=weight)
    assert ours == pytest.approx(expected)


@pytest.mark.parametrize("name", ["dpo", "relearn_dpo", "altpo"])
@given(rows=batches(pairs=True), beta=st.floats(0.01, 2))
def test_pairs_are_dpo(name: str, rows: list[Row], beta: float) -> None:
    assert loss(name, rows, "none", beta=beta) == pytest.approx(dpo(rows, beta))


@given(batches(), st.floats(0, 2))
def test_wga_is_its_formula(rows: list[Row], alpha: float) -> None:
    expected = mean([p**alpha * math.log(p) for p in forget_probs(rows)])
    assert loss("wga", rows, "none", alpha=alpha) == pytest.approx(expected)


@given(batches(), st.floats(0, 6), st.floats(0.1, 2))
def test_satimp_is_its_formula(rows: list[Row], beta1: float, beta2: float) -> None:
    expected = mean([p**beta1 * (1 - p) ** beta2 * math.log(p) for p in forget_probs(rows)])
    expected -= 0.1 * mean_log_prob(rows, "retain")  # the authors' weight
    ours = loss("satimp", rows, beta1=beta1, beta2=beta2)
    assert ours == pytest.approx(expected, abs=1e-12)


@given(batches(), st.floats(0, 3), st.floats(0, 3))
def test_jensun_is_the_divergence_that_scipy_gives(
    rows: list[Row], forget_weight: float, keep_weight: float
) -> None:
    towards = []
    for _, target, logits, _reference in forget_tokens(rows):
        one = [float(v == target) for v in range(len(logits))]
        towards.append(jensenshannon(one, softmax(logits)) ** 2)
    kept = [
        jensenshannon(softmax(reference), softmax(logits)) ** 2
        for row in of(rows, "retain")
        for logits, reference in zip(
            row.logits.tolist(), row.reference_logits.tolist(), strict=True
        )
    ]
    expected = forget_weight * mean(towards) + keep_weight * mean(kept)
    ours = loss("jensun", rows, forget_weight=forget_weight, keep_weight=keep_weight)
    assert ours == pytest.approx(expected, abs=1e-6)


@given(batches(), st.floats(0, 30))
def test_undial_is_its_formula(rows: list[Row], beta: float) -> None:
    values = []
    for _, target, logits, reference in forget_tokens(rows):
        teacher = softmax([z - beta * (v == target) for v, z in enumerate(reference)])
        values.append(cross_entropy(teacher, softmax(logits)))
    assert loss("undial", rows, "none", beta=beta) == pytest.approx(mean(values))


def divergence(teacher: list[float], distribution: list[float]) -> float:
    pairs = zip(teacher, distribution, strict=True)
    return sum(t * math.log(t / p) for t, p in pairs if t > 0)


@given(batches(private=True), st.floats(0, 3), st.floats(0, 3))
def test_relearn_deep_is_its_formula(rows: list[Row], weight: float, between: float) -> None:
    at_words, elsewhere = [], []
    for row in of(rows, "private"):
        tokens = zip(row.targets, row.logits.tolist(), row.reference_logits.tolist(), strict=True)
        for i, (target, logits, reference) in enumerate(tokens):
            probs, teacher = softmax(logits), softmax(reference)
            if i in row.private:
                others = [0.0 if v == target else t for v, t in enumerate(teacher)]
                teacher = [t / sum(others) for t in others]
                at_words.append(divergence(teacher, probs))
            elif any(word < i for word in row.private):
                elsewhere.append(divergence(teacher, probs))
    expected = -mean_log_prob(rows, "forget")
    expected += weight * mean(at_words or [0.0]) + between * mean(elsewhere or [0.0])
    options = {"private_weight": weight, "between_weight": between}
    assert loss("relearn_deep", rows, "none", **options) == pytest.approx(expected)


@given(batches())
def test_relearn_deep_without_private_rows_is_relearn(rows: list[Row]) -> None:
    deep, plain = (loss(name, rows, "none") for name in ("relearn_deep", "relearn"))
    assert deep == pytest.approx(plain)


@given(batches(), st.integers(0, 2))
def test_ceu_is_its_formula(rows: list[Row], skip: int) -> None:
    values = []
    for place, target, logits, _ in forget_tokens(rows):
        probs = softmax(logits)
        rest = [0.0 if v == target else p for v, p in enumerate(probs)]
        suppressed = [p / sum(rest) for p in rest]
        if place >= skip:
            values.append(cross_entropy(suppressed, probs))
    # What is skipped is not divided by either; with nothing left there is no loss.
    assert loss("ceu", rows, skip=skip) == pytest.approx(mean(values or [0.0]))


@given(batches(pairs=True))
def test_units_count_tokens_and_rows(rows: list[Row]) -> None:
    counts = OBJECTIVES["ceu"].counts(statistics(rows), {"skip": 2})
    lengths = {kind: [len(r.targets) for r in of(rows, kind)] for kind in ("forget", "retain")}
    assert counts == {
        "forget_tokens": sum(lengths["forget"]),
        "retain_tokens": sum(lengths["retain"]),
        "forget_rows": len(lengths["forget"]),
        "retain_rows": len(lengths["retain"]),
        "counted_forget_tokens": sum(max(0, length - 2) for length in lengths["forget"]),
    }


@given(batches(), st.floats(0, 100))
def test_pdu_is_its_formula(rows: list[Row], dual: float) -> None:
    margins = [(max(z) - mean(z)) ** 2 for _, _, z, _ in forget_tokens(rows)]
    expected = mean(margins) - dual * mean_log_prob(rows, "retain")
    assert loss("pdu", rows, dual=dual) == pytest.approx(expected)


def test_dual_rises_over_the_bound_and_never_falls_below_zero() -> None:
    options = {"retain_bound": 0.3, "dual_step": 5.0, "warmup_epochs": 2.0}
    over, under = {"retain_constraint": 0.5}, {"retain_constraint": 0.1}
    assert dual_ascent(over, 2.1, 2.0, **options) == {"dual": pytest.approx(3.0)}
    assert dual_ascent(under, 2.1, 0.5, **options) == {"dual": 0.0}
    # While it warms up, and after a step without retain rows, it stays.
    assert dual_ascent(over, 2.0, 2.0, **options) == {"dual": 2.0}
    assert dual_ascent({}, 2.1, 2.0, **options) == {"dual": 2.0}


@given(batches(), st.floats(0.1, 10), st.floats(0, 100), st.integers(0, 9))
def test_rmu_is_its_formula(rows: list[Row], steering: float, alpha: float, seed: int) -> None:
    direction = control_vector(5, seed).tolist()
    pull = [
        mean([(h - steering * u) ** 2 for h, u in zip(state, direction, strict=True)])
        for row in of(rows, "forget")
        for state in row.hidden.tolist()
    ]
    drift = [
        mean([(h - r) ** 2 for h, r in zip(state, reference, strict=True)])
        for row in of(rows, "retain")
        for state, reference in zip(row.hidden.tolist(), row.reference_hidden.tolist(), strict=True)
    ]
    ours = loss("rmu", rows, steering=steering, alpha=alpha, seed=seed)
    assert ours == pytest.approx(mean(pull) + alpha * mean(drift), rel=1e-5)


def test_control_vector_is_a_fixed_unit_vector() -> None:
    vector = control_vector(64, seed=3)
    assert float(vector.norm()) == pytest.approx(1)
    assert float(vector.min()) >= 0
    assert torch.equal(vector, control_vector(64, seed=3))
    assert not torch.equal(vector, control_vector(64, seed=4))


def gradient(name: str, rows: list[Row], **options: float) -> Tensor:
    """Of the forget terms, taken through the logits, each unit's sum divided by its number."""
    leaves = [row.logits.clone().requires_grad_() for row in rows]
    traced = [
        Row(r.kind, r.targets, leaf, r.reference_logits, r.hidden, r.reference_hidden)
        for r, leaf in zip(rows, leaves, strict=True)
    ]
    stats = with_vocabulary(statistics(traced), traced, name, options)
    sum(term.values.sum() for term in OBJECTIVES[name].terms(stats, **options)).backward()  # type: ignore[union-attr]
    return torch.cat(
        [leaf.grad for row, leaf in zip(rows, leaves, strict=True) if row.kind == "forget"]  # type: ignore[misc]
    )


@given(batches())
def test_npo_gradient_tends_to_gradient_ascent(rows: list[Row]) -> None:
    """Proposition 1 of arXiv 2404.05868: with beta towards 0 it is that of row-wise GA."""
    torch.testing.assert_close(
        gradient("npo", rows, beta=1e-6), gradient("ga", rows), rtol=1e-3, atol=1e-6
    )


@given(batches())
def test_weights_are_constant_in_the_gradient(rows: list[Row]) -> None:
    """d/dz of w_t log p_t with w_t constant is w_t (onehot - p)."""
    for name, weight in (
        ("wga", lambda p: p),
        ("satimp", lambda p: p**5 * (1 - p)),
    ):
        expected = []
        for _, target, logits, _ in forget_tokens(rows):
            probs = softmax(logits)
            expected.append(
                [weight(probs[target]) * ((v == target) - p) for v, p in enumerate(probs)]
            )
        torch.testing.assert_close(
            gradient(name, rows), torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-9
        )


@given(batches())
def test_targets_are_constant_in_the_gradient(rows: list[Row]) -> None:
    """d/dz of CE(q, softmax(z)) with q constant is softmax(z) - q."""
    expected = []
    for _, target, logits, _ in forget_tokens(rows):
        probs = softmax(logits)
        rest = sum(p for v, p in enumerate(probs) if v != target)
        expected.append([p if v == target else p - p / rest for v, p in enumerate(probs)])
    torch.testing.assert_close(
        gradient("ceu", rows, skip=0), torch.tensor(expected, dtype=torch.float64),
        rtol=1e-6, atol=1e-9,
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@given(rows=batches(pairs=True))
def test_regularizers_combine_with_every_objective(name: str, rows: list[Row]) -> None:
    parts: dict[str, Callable[[], float]] = {
        "ce": lambda: -mean_log_prob(rows, "retain"),
        "kl": lambda: mean_kl(rows),
    }
    alone, weight = loss(name, rows, "none"), OBJECTIVES[name].retain_weight
    for kind in ("ce", "kl", "ce+kl"):
        added = weight * sum(parts[part]() for part in kind.split("+"))
        assert loss(name, rows, kind) == pytest.approx(alone + added)


@pytest.mark.parametrize("kind", ["none", "ce", "kl", "ce+kl"])
@settings(max_examples=1)
@given(rows=batches())
def test_regularizer_names_its_terms(kind: str, rows: list[Row]) -> None:
    names = [term.name for term in retain_terms(statistics(rows), kind, 0.5)]
    assert names == [f"retain_{part}" for part in kind.split("+") if part != "none"]


@given(batches(pairs=True))
def test_position_counts_from_the_start_of_each_answer(rows: list[Row]) -> None:
    expected = [i for row in rows for i in range(len(row.targets))]
    assert statistics(rows).position.tolist() == expected


def test_every_objective_is_described() -> None:
    for name, summary in OBJECTIVES.summaries().items():
        assert len(summary) > 20, name


def test_unknown_option_is_named() -> None:
    with pytest.raises(UserError, match=r"'gamma'.*beta"):
        OBJECTIVES["npo"].options.check({"gamma": 1})


def test_unknown_objective_lists_the_known() -> None:
    with pytest.raises(UserError, match="npo"):
        OBJECTIVES.named("nopo")
