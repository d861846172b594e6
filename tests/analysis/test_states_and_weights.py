"""Likeness of hidden states, and the size and rank of updates, against other formulas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from sklearn.decomposition import PCA

from helpers.families import family, some_probes
from relearn.analysis.layout import find_layout
from relearn.analysis.memory import States, cka, compare_states
from relearn.analysis.observe import observe
from relearn.analysis.weights import adapter_changes, effective_rank, full_changes


def hsic_by_definition(k, m):
    """Song et al. 2012: the mean over all ordered choices of four different rows."""
    n, total, count = len(k), 0.0, 0
    for i in range(n):
        for j in set(range(n)) - {i}:
            for q in set(range(n)) - {i, j}:
                for r in set(range(n)) - {i, j, q}:
                    total += k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
                    count += 1
    return total / count


def test_cka_is_the_ratio_of_unbiased_hsics():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 5)), rng.normal(size=(7, 3)) ** 2
    x, y = x - x.mean(0), y - y.mean(0)
    k, m = x @ x.T, y @ y.T
    expected = hsic_by_definition(k, m) / np.sqrt(
        hsic_by_definition(k, k) * hsic_by_definition(m, m)
    )
    assert cka(torch.tensor(x), torch.tensor(y)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_cka_ignores_rotation_scale_and_place(seed, scale):
    torch.manual_seed(seed)
    x = torch.randn(30, 6).double()
    rotation = torch.linalg.qr(torch.randn(6, 6).double()).Q
    assert cka(x, scale * x @ rotation + 3) == pytest.approx(1.0, abs=1e-6)


def test_cka_of_unrelated_states_is_near_zero_with_few_rows():
    torch.manual_seed(0)
    values = [cka(torch.randn(40, 500), torch.randn(40, 500)) for _ in range(20)]
    assert abs(np.mean(values)) < 0.05


def test_pca_shift_and_similarity_are_scikit_learns():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 8)) * np.array([5, 2, 1, 1, 1, 1, 1, 1])
    y = x @ np.linalg.qr(rng.normal(size=(8, 8)))[0] + 0.7
    one, two = PCA(1).fit(x), PCA(1).fit(y)
    compared = compare_states(torch.tensor(x).float(), torch.tensor(y).float())
    direction = one.components_[0]
    shift = abs((y.mean(0) - x.mean(0)) @ direction) / np.sqrt(one.explained_variance_[0])
    assert compared["pca_shift"] == pytest.approx(shift, rel=1e-3)
    similarity = abs(direction @ two.components_[0])
    assert compared["pca_similarity"] == pytest.approx(similarity, abs=1e-3)


def test_a_model_is_like_itself_at_every_layer():
    layout = find_layout(family("phi"))
    first = States(layout, None)
    observe(layout, some_probes(), [first], rows=2, pad_token_id=0, title=None)
    second = States(layout, first.states)
    observe(layout, some_probes(), [second], rows=3, pad_token_id=0, title=None)
    rows = second.tables()["states"]
    assert set(rows["layer"]) == {0, 1, 2, 3}
    assert set(rows["set"]) == {"forget", "retain"}
    np.testing.assert_allclose(rows["cka"], 1, atol=1e-4)
    np.testing.assert_allclose(rows["cosine"], 1, atol=1e-5)
    np.testing.assert_allclose(rows["pca_shift"], 0, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 9))
def test_effective_rank_is_the_participation_ratio_of_the_spectrum(seed, rows, columns):
    torch.manual_seed(seed)
    update = torch.randn(rows, columns).double()
    squares = torch.linalg.svdvals(update) ** 2
    assert effective_rank(update) == pytest.approx((squares.sum() ** 2 / (squares**2).sum()).item())


def test_effective_rank_of_even_and_of_single_directions():
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.ones(5, 3)) == pytest.approx(1)
    assert np.isnan(effective_rank(torch.zeros(2, 2)))


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_an_adapters_update_is_that_of_the_merged_model(tmp_path, name, rslora):
    model = family(name)
    model.save_pretrained(tmp_path / "before")
    adapted = get_peft_model(
        model,
        LoraConfig(r=4, lora_alpha=6, use_rslora=rslora, target_modules="all-linear",
                   task_type="CAUSAL_LM", fan_in_fan_out=name == "gpt2"),
    )  # fmt: skip
    for key, parameter in adapted.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "adapter")
    adapted.merge_and_unload().save_pretrained(tmp_path / "after")
    low_rank = adapter_changes(tmp_path / "before", tmp_path / "adapter")
    full = full_changes(tmp_path / "before", tmp_path / "after")
    both = low_rank.merge(full, on=["layer", "module"], suffixes=("", "_full"))
    assert len(both) == len(low_rank) >= 3 * 4
    for column in ("norm", "relative_norm", "effective_rank"):
        np.testing.assert_allclose(both[column], both[f"{column}_full"], rtol=1e-3)
    assert both["effective_rank"].max() <= 4 + 1e-4
