"""Metrics against formulas written out again; bad input; hostile text."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from relearn.base.errors import UserError
from relearn.base.storage import read_jsonl
from relearn.config import EvaluationConfig
from relearn.evaluation.generations_file import read_generations
from relearn.evaluation.judges.coverage import entity_coverage
from relearn.evaluation.judges.entailment import entailment_judge
from relearn.evaluation.judges.entities import spacy_entities
from relearn.evaluation.metrics import METRICS
from relearn.evaluation.metrics.knowledge import is_forgotten, is_retained
from relearn.evaluation.metrics.language import (
    brunet_index_of,
    honore_statistic_of,
    rttr_of,
    words,
)
from relearn.evaluation.metrics.linguistic_score import linguistic_score
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import evaluate_generations, judge_rows, score
from relearn.inference.embeddings import embedder
from relearn.store.embedded import embedded_folder

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


def test_words_with_digits_are_entities() -> None:
    text = "Emma lives at 221B Baker St, was born on 05/02/1994 and pays from DE89."
    (found,) = spacy_entities([text], ["Who is Emma?"])
    assert {"221b", "05/02/1994", "de89"} <= set(found)


def test_the_dot_of_an_abbreviation_ends_no_sentence() -> None:
    # As NLTK with its downloaded model cuts it; it, too, leaves the dot on a year.
    text = "He left St. Petersburg with J.K. Row in Oct. 1990. The answer is no. He stayed."
    assert [w for w in words(text) if "." in w] == ["st.", "j.k.", "oct.", "1990.", ".", "."]


def cross_encoder(folder: Path, labels: list[str]) -> str:
    """Write a small random BERT with MiniLM's tokenizer that reads 64 tokens."""
    config = BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(embedded_folder("minilm"), model_max_length=64)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_cross_encoder_judges_pairs_in_their_order(tmp_path: Path) -> None:
    name = cross_encoder(tmp_path, ["CONTRADICTION", "Neutral", "entailment"])
    pairs = [(f"Emma has {n} cats.", "word " * n) for n in (1, 300, 2, 7)] * 5
    model = BertForSequenceClassification.from_pretrained(name).eval()
    tokenizer = AutoTokenizer.from_pretrained(name)
    with torch.inference_mode():
        logits = [
            model(**tokenizer(*pair, truncation=True, return_tensors="pt")).logits for pair in pairs
        ]
    expected = [["contradiction", "neutral", "entailment"][int(x.argmax())] for x in logits]
    assert entailment_judge(name)(pairs) == expected
    assert entailment_judge(name) is entailment_judge(name)  # loaded once


def test_a_model_with_other_labels_is_no_entailment_judge(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="good, neutral"):
        entailment_judge(cross_encoder(tmp_path, ["good", "neutral"]))


@pytest.mark.parametrize("field", ["entities", "similarity", "entailment"])
def test_a_judge_that_does_not_exist_is_named(tmp_path: Path, field: str) -> None:
    config = EvaluationConfig.model_validate({field: str(tmp_path / "nothing")})
    with pytest.raises(UserError, match="nothing"):
        judge_rows([EvaluatedRow.model_validate(row())], config)


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
        "ha " * 340_000,  # more than the million characters that spaCy reads at once
        "a@a." * 20_000,
        "👩‍👩‍👧 🇩🇪",
        "{{7*7}}",
    ]
    rows = [
        EvaluatedRow.model_validate(row(set=name, generation=text, perplexity=9.0))
        for name in ("forget", "retain")
        for text in texts
    ]
    judge_rows(rows, EvaluationConfig())
    assert all(math.isfinite(value) for value in score(rows).values())
    assert rows[0].scores["forgotten"] == 1
    assert rows[len(texts)].scores["retained"] == 0


@pytest.mark.parametrize(("shift", "forgotten", "retained"), [(0, 0, 1), (37, 1, 0)])
def test_own_answers_are_known_and_those_about_others_are_not(
    knowundo: Path, shift: int, forgotten: int, retained: int
) -> None:
    """The offline judges at both ends; measured 0.009 and 1, 0.982 and 0.028."""
    rows = []
    for name, file in (("forget", "unlearn_val.json"), ("retain", "retention_val.json")):
        pairs = json.loads((knowundo / file).read_text())
        for pair, answer in zip(pairs, pairs[shift:] + pairs[:shift], strict=True):
            fields = {"question": pair["text"], "reference": pair["labels"]}
            rows.append(
                EvaluatedRow.model_validate(row(set=name, **fields, generation=answer["labels"]))
            )
    judge_rows(rows, EvaluationConfig())
    metrics = score(rows)
    assert metrics["forget/kfr"] == pytest.approx(forgotten, abs=0.05)
    assert metrics["retain/krr"] == pytest.approx(retained, abs=0.05)


def test_metrics_without_what_they_need_are_left_out() -> None:
    rows = [EvaluatedRow.model_validate(row(set="retain"))]
    metrics = score(rows)
    assert not {"retain/ls", "retain/perplexity", "retain/krr"} & metrics.keys()
    assert "retain/rougeL_recall" in metrics


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ([], "is empty"),
        (["{"], "line 1 is not valid JSON"),
        (["[1]"], r"line 1 \(record 1\) is no JSON object"),
        (["[" * 100_000], "not valid JSON: nested too deep"),
        (['{"perplexity": ' + "9" * 5000 + "}"], "line 1 is not valid JSON"),
        ([json.dumps(row(generation="\ud800"))], "line 1, generation"),
        ([json.dumps(row(note=["\ud800"]))], "line 1, note"),
        ([json.dumps(row(note=float("inf")))], "line 1, note"),
        ([json.dumps(row(entity_coverage="0.5"))], "line 1, entity_coverage"),
        ([json.dumps(row(entity_coverage=True))], "line 1, entity_coverage"),
        ([json.dumps(row(entity_coverage=-0.1))], "line 1, entity_coverage"),
        ([json.dumps(row(reference_entities="Li"))], "line 1, reference_entities"),
        ([json.dumps(row(reference_entities=[1]))], "line 1, reference_entities"),
        ([json.dumps(row()), json.dumps({"set": "forget"})], "line 2, question"),
        ([json.dumps(row(set="train"))], "line 1, set"),
        ([json.dumps(row(generation=None))], "line 1, generation"),
        ([json.dumps(row(entity_coverage="much"))], "line 1, entity_coverage"),
        ([json.dumps(row(entity_coverage=float("nan")))], "line 1, entity_coverage"),
        ([json.dumps(row(perplexity=-1))], "line 1, perplexity"),
        ([json.dumps(row(nli_label="maybe"))], "line 1, nli_label"),
    ],
)
def test_bad_generations_are_named(tmp_path: Path, lines: list[str], place: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(lines))
    with pytest.raises(UserError, match=place):
        read_generations(file)


def test_missing_file_and_used_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_generations(tmp_path / "no.jsonl")
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row()))
    with pytest.raises(UserError, match="already used"):
        evaluate_generations(file, tmp_path, EvaluationConfig())
    assert sorted(tmp_path.iterdir()) == [file]


def test_other_fields_are_kept_and_scores_are_never_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    known = {"nli_label": "contradiction", "reference_entities": ["li"], "entity_coverage": 1}
    lines = row(id=7, model="other", forgotten=0, scores={"set": 1}, **known)
    file.write_text("\ufeff" + json.dumps(lines) + "\r\n\r\n", encoding="utf-8")
    assert evaluate_generations(file, tmp_path / "out", EvaluationConfig())["forget/kfr"] == 1
    (written,) = read_jsonl(tmp_path / "out" / "rows.jsonl")
    assert (written["id"], written["model"], written["set"]) == (7, "other", "forget")
    assert written["forgotten"] == 1
    assert written["rouge1_recall"] == 0
