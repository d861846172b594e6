"""Distributions: against formulas written out by hand, on random numbers too."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.families import family, some_probes
from relearn.analysis.distribution import (
    CANDIDATES,
    CLASSES,
    Distribution,
    Reference,
    classify,
    entropy,
    kl,
    movement,
    rank_of,
    seesaw,
)
from relearn.analysis.layout import find_layout
from relearn.analysis.observe import observe

PRIVATE, PLAUSIBLE, SUBJECT, REST = range(4)


def logs(*rows):
    return torch.tensor(rows).log()


def moved(after, before, classes):
    values = movement(after, before, torch.tensor(classes))
    return pd.DataFrame({name: value.numpy() for name, value in values.items()})


def test_classes_are_private_then_plausible_then_subject_then_rest():
    base = logs([0.5, 0.3, 0.16, 0.03, 0.01])
    # The nucleus of 0.95 is 0.5 + 0.3 + 0.16; token 1 is private, 2 and 4 belong to the subject.
    classes = classify(base, torch.tensor([1]), [frozenset({2, 4, 99})])
    assert classes.tolist() == [[PLAUSIBLE, PRIVATE, PLAUSIBLE, REST, SUBJECT]]


def test_seesaw_is_zero_for_orderly_and_one_for_random_replacement():
    before = logs([0.90, 0.04, 0.03, 0.03])
    classes = [[PRIVATE, PLAUSIBLE, SUBJECT, REST]]
    assert seesaw(moved(logs([0.10, 0.84, 0.03, 0.03]), before, classes)) == pytest.approx(0.0)
    assert seesaw(moved(logs([0.10, 0.04, 0.83, 0.03]), before, classes)) == pytest.approx(0.0)
    assert seesaw(moved(logs([0.10, 0.04, 0.03, 0.83]), before, classes)) == pytest.approx(1.0)
    half = moved(logs([0.10, 0.44, 0.03, 0.43]), before, classes)
    assert seesaw(half) == pytest.approx(0.5)
    assert half["lost"].item() == pytest.approx(0.8)


def test_seesaw_weighs_keys_by_what_they_lost_and_needs_a_loss():
    before = logs([0.9, 0.05, 0.05], [0.9, 0.05, 0.05])
    after = logs([0.1, 0.05, 0.85], [0.7, 0.25, 0.05])
    classes = [[PRIVATE, PLAUSIBLE, REST]] * 2
    assert seesaw(moved(after, before, classes)) == pytest.approx(0.8 / (0.8 + 0.2))
    assert seesaw(moved(before, before, classes)) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 40))
def test_movement_accounts_for_all_probability(seed, size):
    rng = np.random.default_rng(seed)
    before, after = (torch.tensor(rng.dirichlet(np.ones(size) * 0.3, 5)).log() for _ in "ab")
    private = torch.tensor(rng.integers(0, size, 5))
    classes = classify(before, private, [frozenset({0, 1})] * 5)
    values = movement(after, before, classes)
    total = sum(values[f"mass_{name}"] for name in CLASSES)
    torch.testing.assert_close(total, torch.ones_like(total))
    rows = pd.DataFrame({name: value.numpy() for name, value in values.items()})
    found = seesaw(rows)
    assert found is None or -1e-9 <= found <= 1 + 1e-9
    p, q = before.exp().numpy(), after.exp().numpy()
    for row in range(5):
        rest = [i for i in range(size) if classes[row, i] == REST]
        gained = sum(max(q[row, i] - p[row, i], 0) for i in rest)
        assert values["gained_rest"][row].item() == pytest.approx(gained, abs=1e-9)
        assert kl(before, after)[row].item() == pytest.approx(
            sum(a * math.log(a / b) for a, b in zip(p[row], q[row], strict=True) if a > 0), abs=1e-6
        )
        own = sum(-a * math.log(a) for a in p[row] if a > 0)
        assert entropy(before)[row].item() == pytest.approx(own, abs=1e-6)
        order = sorted(range(size), key=lambda i: -p[row, i])
        assert rank_of(before, private)[row].item() == order.index(private[row].item()) + 1


def test_a_model_is_no_distance_from_itself_and_the_best_candidate_is_its_argmax(tmp_path):
    layout = find_layout(family("llama"))
    probes = some_probes()
    tokens = sum(len(p.example.answer) for p in probes)
    writer = Reference(tmp_path)
    observe(layout, probes, [writer], rows=2, pad_token_id=0, title=None)
    watching = Distribution(writer, None, str)
    observe(layout, probes, [watching], rows=2, pad_token_id=0, title=None)
    tables = watching.tables()
    rows, candidates = tables["tokens"], tables["candidates"]
    assert len(rows) == tokens
    assert len(candidates) == CANDIDATES * tokens
    assert rows["kl_from_target"].max() < 1e-3
    written = writer.tables()["tokens"]["log_prob"]
    np.testing.assert_allclose(rows["log_prob"], written, atol=1e-5)
    assert rows["key"].sum() == sum(len(p.keys) for p in probes)
    assert rows.loc[rows["key"], "mass_private"].notna().all()
    assert rows.loc[~rows["key"], "mass_private"].isna().all()
    top = candidates[candidates["candidate"] == 1]["probability"].to_numpy()
    assert (top >= np.exp(rows["log_prob"]) - 1e-6).all()


def test_the_batch_size_changes_nothing(tmp_path):
    layout = find_layout(family("gpt2"))
    probes = some_probes()
    written = []
    for rows in (1, 3):
        writer = Reference(tmp_path)
        observe(layout, probes, [writer], rows=rows, pad_token_id=0, title=None)
        written.append(torch.cat(writer.seen))
    torch.testing.assert_close(*written, rtol=0, atol=1e-5)
