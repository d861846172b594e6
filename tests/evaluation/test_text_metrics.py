"""Metrics of texts and of tokens' ranks against formulas written out again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.config import EvaluationConfig
from relearn.evaluation.metrics.diversity import distinct_share
from relearn.evaluation.metrics.exact_match import normalized_answer
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import judge_rows, score

texts = st.lists(st.sampled_from([f"w{i}" for i in range(6)]), max_size=30)


def row(**fields: object) -> EvaluatedRow:
    given = {"set": "forget", "question": "q", "reference": "r", "generation": "g"}
    return EvaluatedRow.model_validate(given | fields)


@given(texts, st.integers(1, 4))
def test_distinct_share_is_its_formula(tokens: list[str], n: int) -> None:
    ngrams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    expected = len(set(ngrams)) / len(ngrams) if ngrams else 1
    assert distinct_share(" ".join(tokens), n) == expected


@given(texts, texts)
def test_rouge_f1_is_the_harmonic_mean(reference: list[str], answer: list[str]) -> None:
    one = row(reference=" ".join(reference), generation=" ".join(answer))
    common = sum(min(reference.count(t), answer.count(t)) for t in set(reference))
    expected = 2 * common / (len(reference) + len(answer)) if common else 0
    assert score([one], ["rouge1_f1"])["forget/rouge1_f1"] == pytest.approx(expected)


def test_exact_match_overlooks_form_only() -> None:
    assert normalized_answer(" The  Answer, is: a CAT! ") == "answer is cat"
    rows = [row(reference="In 1984.", generation="in 1984"), row(generation="another")]
    assert score(rows, ["exact_match"])["forget/exact_match"] == 0.5
    assert [one.scores["exact_match"] for one in rows] == [1, 0]


def test_repetition_is_seen() -> None:
    rows = [row(generation="la " * 40), row(generation="the quick brown fox jumps over it")]
    score(rows)
    assert rows[0].scores["repetition_rate"] > 0.9
    assert rows[1].scores["repetition_rate"] == 0
    assert rows[0].scores["distinct_1"] == 1 / 40


def test_embedding_similarity_is_high_for_the_same_and_low_for_other_things() -> None:
    same = row(reference="She lives in Paris.", generation="Her home is in Paris.")
    other = row(reference="She lives in Paris.", generation="The recipe needs two eggs.")
    judge_rows([same, other], EvaluationConfig(), ["embedding_similarity"])
    assert same.embedding_similarity is not None
    assert other.embedding_similarity is not None
    assert same.embedding_similarity > 0.7 > 0.3 > other.embedding_similarity
    assert same.nli_label is None


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_memorization_is_its_formula(greedy: list[bool]) -> None:
    values = score([row(answer_greedy=greedy)], ["exact_memorization", "extraction_strength"])
    assert values["forget/exact_memorization"] == pytest.approx(sum(greedy) / len(greedy))
    tail = re.search("1*$", "".join(str(int(g)) for g in greedy))
    assert tail is not None
    assert values["forget/extraction_strength"] == pytest.approx(len(tail[0]) / len(greedy))
