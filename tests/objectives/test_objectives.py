"""Every objective against its formula, written out token by token with plain floats."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from relearn.errors import UserError
from relearn.objectives import OBJECTIVES, TokenStatistics
from relearn.objectives.regularizers import retain_terms

Rows = list[tuple[bool, list[float], list[float]]]


@st.composite
def batches(draw: st.DrawFn) -> Rows:
    """Rows of (is it a forget row, policy log-probs, reference log-probs)."""
    value = st.floats(-20, -1e-3)
    kinds = [True, False, *draw(st.lists(st.booleans(), max_size=4))]
    rows: Rows = []
    for kind in kinds:
        length = draw(st.integers(1, 6))
        rows.append(
            (kind, *(draw(st.lists(value, min_size=length, max_size=length)) for _ in "pr"))
        )
    return rows


def statistics(rows: Rows) -> TokenStatistics:
    log_probs = torch.tensor([x for _, p, _ in rows for x in p], dtype=torch.float64)
    reference = torch.tensor([x for _, _, r in rows for x in r], dtype=torch.float64)
    row = torch.tensor([i for i, (_, p, _) in enumerate(rows) for _ in p])
    kl = (reference - log_probs).abs()
    return TokenStatistics(log_probs, row, torch.tensor([k for k, _, _ in rows]), reference, kl)


def loss(name: str, rows: Rows, **options: float) -> float:
    stats = statistics(rows)
    counts = {
        "forget_tokens": sum(len(p) for k, p, _ in rows if k),
        "retain_tokens": sum(len(p) for k, p, _ in rows if not k),
        "forget_rows": sum(k for k, _, _ in rows),
        "retain_rows": sum(not k for k, _, _ in rows),
    }
    terms = OBJECTIVES[name].terms(stats, **options)
    terms += retain_terms(stats, OBJECTIVES[name].regularizer, 1.0)
    return sum(float(t.weight * t.values.sum() / counts[t.unit]) for t in terms)


def mean_log_prob(rows: Rows, *, forget: bool) -> float:
    tokens = [x for kind, p, _ in rows if kind == forget for x in p]
    return sum(tokens) / len(tokens)


@given(batches())
def test_ga_is_the_mean_log_prob(rows: Rows) -> None:
    assert loss("ga", rows) == pytest.approx(mean_log_prob(rows, forget=True))


@given(batches())
def test_grad_diff_is_ascent_on_forget_and_descent_on_retain(rows: Rows) -> None:
    expected = mean_log_prob(rows, forget=True) - mean_log_prob(rows, forget=False)
    assert loss("grad_diff", rows) == pytest.approx(expected)


@given(batches())
def test_sft_is_the_cross_entropy(rows: Rows) -> None:
    assert loss("sft", rows) == pytest.approx(-mean_log_prob(rows, forget=True))


@given(batches())
def test_relearn_is_ce_plus_ce_plus_kl(rows: Rows) -> None:
    kl = [abs(r - p) for kind, ps, rs in rows if not kind for p, r in zip(ps, rs, strict=True)]
    expected = (
        -mean_log_prob(rows, forget=True) - mean_log_prob(rows, forget=False) + sum(kl) / len(kl)
    )
    assert loss("relearn", rows) == pytest.approx(expected)


@given(batches(), st.floats(0.01, 2))
def test_npo_is_its_formula(rows: Rows, beta: float) -> None:
    ratios = [sum(p) - sum(r) for kind, p, r in rows if kind]
    # 1 - sigmoid(x) = sigmoid(-x), so -log sigmoid(-x) = log(1 + exp(x))
    npo = sum(2 / beta * math.log1p(math.exp(beta * x)) for x in ratios) / len(ratios)
    assert loss("npo", rows, beta=beta) == pytest.approx(npo - mean_log_prob(rows, forget=False))


@settings(deadline=None)
@given(batches())
def test_npo_gradient_tends_to_gradient_ascent(rows: Rows) -> None:
    """Proposition 1 of arXiv 2404.05868: with beta towards 0 it is that of row-wise GA."""

    def gradient(name: str, **options: float) -> Tensor:
        stats = statistics(rows)
        leaf = stats.log_probs.requires_grad_()
        (term,) = OBJECTIVES[name].terms(stats, **options)
        term.values.sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    torch.testing.assert_close(gradient("npo", beta=1e-6), gradient("ga"), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "ce", "kl", "ce+kl"])
def test_regularizer_names_its_terms(kind: str) -> None:
    rows = [(True, [-1.0], [-1.0]), (False, [-2.0, -3.0], [-2.0, -2.5])]
    names = [term.name for term in retain_terms(statistics(rows), kind, 0.5)]
    assert names == [f"retain_{part}" for part in kind.split("+") if part != "none"]


def test_every_objective_is_described() -> None:
    for name, summary in OBJECTIVES.summaries().items():
        assert len(summary) > 20, name


def test_unknown_option_is_named() -> None:
    with pytest.raises(UserError, match=r"'gamma'.*beta"):
        OBJECTIVES["npo"].check_options({"gamma": 1})


def test_unknown_objective_lists_the_known() -> None:
    with pytest.raises(UserError, match="npo"):
        OBJECTIVES.named("nopo")
