"""Metrics, batching and verification on any texts and rows that hypothesis makes up."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from relearn.data.batching import IGNORE, MixedBatchSampler, TrainingRow, collate, pack
from relearn.data.tokenization import Example
from relearn.evaluation.metrics import METRICS
from relearn.evaluation.metrics.base import Metric
from relearn.evaluation.rows import EvaluatedRow
from relearn.inference.length_batches import in_length_batches
from relearn.llm.thinking import without_thinking
from relearn.synthesis.replies import plain_reply, speaks_of_itself
from relearn.synthesis.secrets import find_secrets, leaked, quoted
from relearn.synthesis.statements import find_statement, restated
from relearn.synthesis.verification import (
    malformed,
    malformed_question,
    names_subject,
    near_duplicate,
)
from relearn.text.english import english
from relearn.text.identifiers import find_identifiers, identifiers, tells
from relearn.text.numbers import in_figures
from relearn.text.subjects import Subject

quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
texts = st.text(st.characters(codec="utf-8"), max_size=80)
WORDS = "Who is 3 twelve Lena's o.b@x.org +49-30 1987 { } \u202e".split()
said = st.one_of(texts, st.lists(st.sampled_from(WORDS)).map(" ".join))
ON_TEXT = {
    name: each for name, each in METRICS.items()
    if isinstance(each, Metric) and tuple(each.needs) == ("generation",)
}  # fmt: skip


@pytest.mark.parametrize("name", ON_TEXT)
@quick
@given(reference=said.filter(str.strip), generation=said)
@example(reference="?", generation="")
@example(reference="ß" * 50, generation="SS" * 50)
def test_a_score_is_within_its_range(name: str, reference: str, generation: str) -> None:
    metric = ON_TEXT[name]
    row = EvaluatedRow(set="forget", question="Q", reference=reference, generation=generation)
    score = metric.compute([row])
    low, high = metric.range
    assert low - 1e-9 <= score <= high + 1e-9
    assert not math.isnan(score)


@quick
@given(text=said.filter(lambda text: any(c.isascii() and c.isalnum() for c in text)))
def test_a_text_recalls_itself(text: str) -> None:
    row = EvaluatedRow(set="forget", question="Q", reference=text, generation=text)
    for name in ("rouge1_recall", "rougeL_recall", "rouge1_f1", "rougeL_f1", "exact_match"):
        assert ON_TEXT[name].compute([row]) == 1


tokens = st.lists(st.integers(3, 50), min_size=1, max_size=12)
sets = st.tuples(
    st.lists(st.tuples(tokens, tokens), min_size=1, max_size=12),
    st.lists(st.tuples(tokens, tokens), max_size=12),
)


def rows_of(forget: list[Any], retain: list[Any]) -> list[TrainingRow]:
    examples = [(Example(*pair), i < len(forget)) for i, pair in enumerate([*forget, *retain])]
    return [TrainingRow(i, each, is_forget) for i, (each, is_forget) in enumerate(examples)]


@quick
@given(
    given_sets=sets, per_batch=st.integers(1, 5), ratio=st.floats(0.1, 3), seed=st.integers(0, 9),
    processes=st.integers(1, 3),
)  # fmt: skip
def test_each_forget_row_comes_once_an_epoch_whoever_gets_it(
    given_sets: tuple[list[Any], list[Any]], per_batch: int, ratio: float, seed: int, processes: int
) -> None:
    rows = rows_of(*given_sets)

    def batches(of: int, count: int) -> list[list[int]]:
        return list(MixedBatchSampler(rows, per_batch, per_batch * ratio, seed, True, of, count))

    alone = batches(0, 1)
    shared = [batch for i in range(processes) for batch in batches(i, processes)]
    labelled = [batch for batch in shared if min(batch) >= 0]
    assert Counter(map(tuple, labelled)) == Counter(map(tuple, alone))
    drawn = Counter(i for batch in alone for i in batch)
    forget = [row.index for row in rows if row.is_forget]
    retain = [row.index for row in rows if not row.is_forget]
    assert all(drawn[i] == 1 for i in forget)
    assert (
        max((drawn[i] for i in retain), default=0) - min((drawn[i] for i in retain), default=0) < 2
    )
    assert all(sum(i in forget for i in batch) <= per_batch for batch in alone)


@quick
@given(given_sets=sets)
def test_packed_and_padded_rows_have_the_same_labels(
    given_sets: tuple[list[Any], list[Any]],
) -> None:
    rows = rows_of(*given_sets)
    padded, packed = collate(rows, 0), pack(rows)
    wanted = [token for row in rows for token in row.example.answer]
    for batch in (padded, packed):
        labels = batch["labels"]
        assert labels[labels != IGNORE].tolist() == wanted
        assert torch.equal(batch["row"], padded["row"])
    for i, row in enumerate(rows):
        length = int(padded["attention_mask"][i].sum())
        assert padded["input_ids"][i, :length].tolist() == row.example.prompt + row.example.answer


@quick
@given(items=st.lists(texts, max_size=30), size=st.integers(1, 7))
def test_work_in_length_batches_keeps_the_order(items: list[str], size: int) -> None:
    def work(batch: list[str]) -> list[str]:
        assert 0 < len(batch) <= size
        return [text.upper() for text in batch]

    found = in_length_batches(items, work, length=len, size=size, title=None)
    assert found == [text.upper() for text in items]


@quick
@given(text=said)
def test_verification_ends_with_a_reason_or_none(text: str) -> None:
    assert isinstance(malformed(text.strip() or "x"), str)
    assert isinstance(malformed_question(text, "Who?"), str)
    assert isinstance(speaks_of_itself(text), bool)
    assert near_duplicate(text, [text.upper()]) or not text.strip()
    assert isinstance(names_subject(text, Subject("Lena Fisk")), bool)
    for one in find_identifiers(text):
        assert tells(text, one) or one.kind == "name"
    assert identifiers(text) == identifiers(text)
    in_figures(text.casefold())


@quick
@given(question=said.filter(str.strip), answer=said.filter(str.strip), text=said)
def test_secrets_of_any_record_can_be_looked_for(question: str, answer: str, text: str) -> None:
    subject = Subject("Lena Fisk")
    secrets = find_secrets(english()(answer), question, subject)
    for each in (text, answer):
        assert isinstance(leaked(secrets, each) + quoted(secrets, each), str)
    assert isinstance(restated(find_statement(question, subject), text), str)


NAMES = st.text("bdfgklmnprtvzaeiou", min_size=5, max_size=9).map(str.title)


@quick
@given(
    name=NAMES, before=texts, after=texts, change=st.sampled_from([str.upper, str.lower, str.title])
)
def test_a_name_is_found_wherever_it_stands(
    name: str, before: str, after: str, change: Any
) -> None:
    question = "Who is the boss of Lena Fisk?"
    secrets = find_secrets(english()(f"It is {name} Q. Brandt."), question, Subject("Lena Fisk"))
    assert leaked(secrets, f"{before} | {change(name)} | {after}")
    assert leaked(secrets, f"{before} | {' '.join(change(name))} | {after}")


@quick
@given(text=said)
def test_a_reply_is_cut_down_to_one_line(text: str) -> None:
    plain = plain_reply(text)
    assert len(plain.splitlines()) <= 1
    assert plain_reply(plain) == plain
    assert len(without_thinking(text)) <= len(text)
    assert without_thinking(f"<think>hm</think>{without_thinking(text)}").strip() != "hm"
