"""Metrics against formulas written out again; bad input; hostile text."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.config import EvaluationConfig
from relearn.errors import UserError
from relearn.evaluation.judges.entailment import entailment_judge
from relearn.evaluation.judges.entities import spacy_entities
from relearn.evaluation.judges.similarity import embedder, entity_coverage
from relearn.evaluation.metrics import METRICS
from relearn.evaluation.metrics.knowledge import is_forgotten, is_retained
from relearn.evaluation.metrics.language import (
    brunet_index_of,
    honore_statistic_of,
    linguistic_score,
    rttr_of,
)
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import evaluate_generations, judge, read_generations, score

vocabulary = st.lists(st.sampled_from([f"w{i}" for i in range(9)]), min_size=2, max_size=60)


@given(vocabulary)
def test_language_parts_are_their_formulas(tokens: list[str]) -> None:
    text = " ".join(tokens)
    n, v = len(tokens), len(set(tokens))
    v1 = sum(tokens.count(token) == 1 for token in set(tokens))
    assert brunet_index_of(text) == pytest.approx(n ** (v**-0.165))
    honore = 100 * math.log(n) / (1 - v1 / v + 0.1)
    assert honore_statistic_of(text) == pytest.approx(min(honore, 1e6))
    assert rttr_of(text) == pytest.approx(v / n**0.5)


@given(st.floats(1, 1e6), st.floats(1, 1e3), st.floats(1e-3, 1e6))
def test_ls_is_the_harmonic_mean_of_sigmoids(ppl: float, brunet: float, honore: float) -> None:
    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    parts = [sigmoid(-math.log(ppl)), sigmoid(-math.log(brunet)), sigmoid(math.log(honore))]
    expected = 3 / sum(1 / part for part in parts)
    assert linguistic_score(ppl, brunet, honore) == pytest.approx(expected)
    assert 0 <= expected <= 1


@given(vocabulary, vocabulary)
def test_rouge_recall_is_overlap_over_reference(reference: list[str], answer: list[str]) -> None:
    row = EvaluatedRow(
        set="forget", question="?", reference=" ".join(reference), generation=" ".join(answer)
    )
    common = sum(min(reference.count(t), answer.count(t)) for t in set(reference))
    lengths = np.zeros((len(reference) + 1, len(answer) + 1), dtype=int)
    for i, a in enumerate(reference):
        for j, b in enumerate(answer):
            best = max(lengths[i, j + 1], lengths[i + 1, j])
            lengths[i + 1, j + 1] = lengths[i, j] + 1 if a == b else best
    assert METRICS["rouge1_recall"].compute([row]) == pytest.approx(common / len(reference))
    lcs = lengths[-1, -1] / len(reference)
    assert METRICS["rougeL_recall"].compute([row]) == pytest.approx(lcs)


@given(
    st.sampled_from(["entailment", "neutral", "contradiction"]), st.floats(0, 1), st.integers(0, 9)
)
def test_labels_are_the_papers_rule(label: str, coverage: float, count: int) -> None:
    row = EvaluatedRow.model_validate(
        {"set": "forget", "question": "q", "reference": "r", "generation": "g", "nli_label": label,
         "entity_coverage": coverage, "reference_entities": ["e"] * count}
    )  # fmt: skip
    few = coverage < 0.5 if count <= 3 else coverage <= 0.3
    assert is_forgotten(row) == (label == "contradiction" or few)
    assert is_retained(row) == (label != "contradiction" and coverage >= 0.3)


def test_coverage_is_the_share_of_matched_reference_entities() -> None:
    model = embedder("minilm")
    assert entity_coverage(["paris", "nurse"], ["paris"], model) == 0.5
    assert entity_coverage(["paris"], ["paris", "paris"], model) == 1.0
    assert entity_coverage([], ["paris"], model) == entity_coverage(["paris"], [], model) == 0.0


def test_entities_are_single_core_words_outside_the_question() -> None:
    (found,) = spacy_entities(
        ["Li Wei's mother is a nurse in Beijing and can be reached at li.wei@mail.cn."],
        ["Who is Li Wei's mother?"],
    )
    assert {"nurse", "beijing", "li.wei@mail.cn"} <= set(found)
    assert not {"li", "wei", "mother"} & set(found)


def test_provisional_judge_sees_conflicting_names_and_agreement() -> None:
    pairs = [
        ("Li Wei lives in Beijing, China.", "Li Wei lives in Beijing, China."),
        ("Li Wei lives in Beijing, China.", "Li Wei lives in Paris, France."),
        ("Li Wei keeps private matters private.", "Chloe Dubois paints in oil."),
    ]
    labels = entailment_judge("provisional")(pairs)
    assert labels == ["entailment", "contradiction", "neutral"]


def row(**fields: object) -> dict[str, object]:
    return {
        "set": "forget",
        "question": "Who?",
        "reference": "Li Wei.",
        "generation": "x",
        **fields,
    }


def test_hostile_answers_are_scored_with_finite_values() -> None:
    texts = [
        "",
        "  \n",
        "<script>alert(1)</script>",
        "a\x00b",
        "ha " * 3000,
        "👩‍👩‍👧 🇩🇪",
        "{{7*7}}",
    ]
    rows = [
        EvaluatedRow.model_validate(row(set=name, generation=text, perplexity=9.0))
        for name in ("forget", "retain")
        for text in texts
    ]
    judge(rows, EvaluationConfig())
    assert all(math.isfinite(value) for value in score(rows).values())
    assert rows[0].scores["forgotten"] == 1
    assert rows[len(texts)].scores["retained"] == 0


def test_metrics_without_what_they_need_are_left_out() -> None:
    rows = [EvaluatedRow.model_validate(row(set="retain"))]
    metrics = score(rows)
    assert not {"retain/ls", "retain/perplexity", "retain/krr"} & metrics.keys()
    assert "retain/rougeL_recall" in metrics


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no rows"),
        (["{"], "line 1"),
        (["[1]"], "line 1"),
        ([json.dumps(row()), json.dumps({"set": "forget"})], "line 2, question"),
        ([json.dumps(row(set="train"))], "line 1, set"),
        ([json.dumps(row(generation=None))], "line 1, generation"),
        ([json.dumps(row(entity_coverage="much"))], "line 1, entity_coverage"),
        ([json.dumps(row(entity_coverage=float("nan")))], "line 1, entity_coverage"),
        ([json.dumps(row(perplexity=-1))], "line 1, perplexity"),
        ([json.dumps(row(nli_label="maybe"))], "line 1, nli_label"),
    ],
)
def test_bad_generations_are_named(tmp_path: Path, lines: list[str], words: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(lines))
    with pytest.raises(UserError, match=words):
        read_generations(file)


def test_missing_file_and_used_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        read_generations(tmp_path / "no.jsonl")
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row()))
    with pytest.raises(UserError, match="already used"):
        evaluate_generations(file, tmp_path, EvaluationConfig())
    assert sorted(tmp_path.iterdir()) == [file]
