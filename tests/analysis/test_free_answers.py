"""Loops and repetition, on token lists."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from relearn.analysis.free_answers import collapsed, free_answers, loops, repetition
from relearn.analysis.probes import make_probes
from relearn.config import ModelConfig
from relearn.data.records import Record
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_model, load_tokenizer


@pytest.mark.parametrize(
    ("ids", "looping"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], False),
        ([9, 5, 5, 5, 5, 5, 5], True),
        ([9, 8, 7, 0, 0, 0], False),  # "2000"
        ([1, 2, 3, 1, 2, 3, 1, 2, 3], True),
        ([1, 2, 3, 1, 2, 3, 1, 2, 3, 4], False),
        ([4, 1, 2, 1, 2, 1, 2, 1], True),  # cut off within a run
        ([1, 2, 3, 1, 2, 3], False),
        ([], False),
    ],
)
def test_a_loop_is_a_run_three_times_at_the_end(ids, looping):
    assert loops(ids) is looping


@given(st.lists(st.integers(0, 5), max_size=40))
def test_repetition_counts_4_grams_seen_before(ids):
    seen, again = set(), 0
    for start in range(len(ids) - 3):
        gram = tuple(ids[start : start + 4])
        again += gram in seen
        seen.add(gram)
    expected = again / (len(ids) - 3) if len(ids) >= 4 else 0.0
    assert repetition(ids) == pytest.approx(expected)


@given(st.integers(1, 8), st.lists(st.integers(0, 99), max_size=10))
def test_any_run_three_times_over_is_a_loop(period, before):
    run = list(range(100, 100 + period))
    assert loops(before + run * max(3, -(-6 // period)))


def test_nothing_said_is_a_collapse_too():
    assert collapsed([])
    assert not collapsed([1, 2, 3, 4, 5])
    assert collapsed([1, 2, 3, 4, 5] * 4)


def test_entropies_come_with_every_token(tiny_model):
    config = ModelConfig(dtype="float32")
    prompt_format = PromptFormat(load_tokenizer(tiny_model, config))
    records = [Record(id=str(i), question=f"Who is number {i}?" * (i + 1), answer="Nobody at all.")
               for i in range(3)]  # fmt: skip
    probes = make_probes(records, "forget", prompt_format)
    model = load_model(tiny_model, config)
    runs = [
        free_answers(model, prompt_format, probes, rows=rows, max_new_tokens=7, title=None)
        for rows in (1, 3)
    ]
    for tables in runs:
        counts = tables["steps"].groupby("id")["step"].count()
        for row in tables["answers"].itertuples():
            assert counts[row.id] == min(row.tokens + 1, 7)
        assert tables["steps"]["entropy"].between(0, torch.tensor(49152.0).log().item() + 1).all()
    assert runs[0]["answers"]["answer"].tolist() == runs[1]["answers"]["answer"].tolist()
