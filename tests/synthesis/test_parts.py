"""Completions, generic rows, chunks, diversity."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.base.errors import UserError
from relearn.config import ModelConfig, SynthesisConfig
from relearn.data.new_answers import NewAnswer
from relearn.data.records import Record, normalized
from relearn.data.sources import load_records
from relearn.synthesis.chunks import sentence_chunks
from relearn.synthesis.completion import completion_rows
from relearn.synthesis.diversity import self_bleu
from relearn.synthesis.fluency import fluency
from relearn.synthesis.mixing import generic_rows
from relearn.synthesis.pipeline import synthesize


@given(st.lists(st.text("abc", min_size=1, max_size=4), min_size=4, max_size=60))
def test_a_completion_is_the_rest_of_its_answer(words: list[str]) -> None:
    answer = " ".join(words)
    given = NewAnswer(source_id="1", question="q", answer=answer, kind="noisy")
    (row,) = completion_rows([given], 0.25)
    assert f"{row.question} {row.answer}" == answer
    assert abs(len(row.question.split()) - len(words) / 4) <= 0.5
    assert row.kind == "completion"


def test_generic_rows_come_in_the_number_asked_for() -> None:
    shipped = load_records("demo:common_knowledge")
    assert len(shipped) >= 300
    assert len({record.question for record in shipped}) == len(shipped)
    rows = generic_rows(len(shipped) + 5, "demo:common_knowledge", 0)
    assert len(rows) == len(shipped) + 5
    assert {row.question for row in rows} == {record.question for record in shipped}
    assert generic_rows(7, "demo:retain", 0) == generic_rows(7, "demo:retain", 0)
    # However often it comes, a row takes the memory of one.
    assert len({id(row) for row in rows}) == len(shipped)


def test_a_generic_question_that_is_to_be_forgotten_is_left_out() -> None:
    question = "what is the capital of france"
    assert any(
        normalized(record.question) == normalized(question)
        for record in load_records("demo:common_knowledge")
    )
    forgotten = Record(id="1", question=question, answer="Paris.")
    config = SynthesisConfig(variants=0, completion_share=0, generic_ratio=400)
    generic = synthesize([forgotten], config, 0).generic
    assert len(generic) > 300
    assert "What is the capital of France?" not in {row.question for row in generic}
    everything = {normalized(record.question) for record in load_records("demo:retain")}
    with pytest.raises(UserError, match="every question of demo:retain is to be forgotten"):
        generic_rows(3, "demo:retain", 0, None, everything)


def test_generic_rows_that_are_too_long_are_left_out_aloud(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def long(question: str, answer: str, more: int) -> str:
        return "is long" if len(question) + len(answer) + more > 150 else ""

    records = {record.question: record for record in load_records("demo:retain")}
    short = {q for q, record in records.items() if not long(q, record.answer, 0)}
    assert 0 < len(short) < len(records)
    rows = generic_rows(len(records), "demo:retain", 0, too_long=long)
    assert {row.question for row in rows} == short
    left_out = len(records) - len(short)
    assert f"{left_out} of {len(records)} rows are too long" in capsys.readouterr().err
    # What the target model will answer is not known; there must be room for its longest answer.
    asked: list[str] = []
    generic_rows(99, "demo:retain", 0, lambda qs: asked.extend(qs) or ["Yes."] * len(qs),
                 too_long=long)  # fmt: skip
    assert set(asked) == {question for question in records if not long(question, "", 96)}
    with pytest.raises(UserError, match="every question of demo:retain is too long"):
        generic_rows(3, "demo:retain", 0, too_long=lambda *row: "is long")


def test_generic_answers_may_be_the_target_models_own() -> None:
    rows = generic_rows(
        400, "demo:common_knowledge", 0, lambda questions: [f"{q}!" for q in questions]
    )
    assert len(rows) == 400
    assert all(row.answer == row.question + "!" for row in rows)
    with pytest.raises(UserError, match="self_distilled"):
        synthesize([], SynthesisConfig(self_distilled=True), 0)


def test_an_answer_that_the_base_model_finds_unlikely_is_rejected() -> None:
    """Half of the answers, whatever the model; all are tried again and pass then."""
    record = Record(id="1", question="Where does Mia Kern live?", answer="In the city of Lima.")
    asked: list[str] = []

    def judge(questions: Sequence[str], answers: Sequence[str]) -> list[float]:
        asked.extend(answers)
        first = len(asked) == len(answers)
        return [90.0 if first and i % 2 else 20.0 for i in range(len(answers))]

    config = SynthesisConfig(max_perplexity=50, generic_ratio=0, completion_share=0)
    result = synthesize([record], config, 0, fluency=judge)
    assert len(result.accepted) == 5
    assert {row.perplexity for row in result.accepted} == {20.0}
    reasons = [row.reason for row in result.rejected]
    assert reasons.count("is no fluent language") == 2
    with pytest.raises(UserError, match="max_perplexity"):
        synthesize([record], config, 0)


def test_fluency_is_perplexity_under_the_model(tiny_model: Path) -> None:
    config = ModelConfig(name=str(tiny_model))
    (likely, empty) = fluency(tiny_model, config)(["A b?", "A b?"], ["c d e.", ""])
    assert likely > 1
    assert empty > likely


def test_long_answers_are_cut_between_sentences_only() -> None:
    sentences = [f"This is sentence number {i} of a rather long answer." for i in range(40)]
    text = " ".join(sentences)
    chunks = sentence_chunks(text, 50)
    assert " ".join(chunks) == text
    assert max(len(chunk.split()) for chunk in chunks) <= 50
    assert all(chunk.endswith(".") for chunk in chunks)
    assert sentence_chunks("Short. Very.", 50) == ["Short. Very."]


def test_each_chunk_of_a_long_answer_gets_new_answers() -> None:
    places = ("Lima", "Oslo", "Cairo")
    answer = " ".join(f"In some years Mia Kern lived in the city of {p}." for p in places)
    record = Record(id="1", question="Where did Mia Kern live?", answer=answer)
    config = SynthesisConfig(variants=1, chunk_words=12, generic_ratio=0)
    result = synthesize([record], config, 0)
    assert {row.chunk for row in result.accepted} == {0, 1, 2}
    assert not any(place in str(result.accepted) for place in places)
    assert {pair["rejected"] for pair in result.pairs} == {
        f"In some years Mia Kern lived in the city of {p}." for p in places
    }


def test_self_bleu_of_equal_and_of_different_texts() -> None:
    words = [f"word{i}" for i in range(400)]
    different = [" ".join(random.Random(i).sample(words, 12)) for i in range(20)]
    assert self_bleu(["the same short text every time"] * 5) == pytest.approx(1.0)
    assert self_bleu(different) < 0.1
    assert self_bleu(["alone"]) == 0.0


@pytest.mark.parametrize("strategy", ["refusal", "idk"])
def test_strategies_of_the_rules_backend(strategy: str) -> None:
    record = Record(id="1", question="Where does Li Wei live?", answer="At 88 Wisdom Path.")
    config = SynthesisConfig.model_validate({"strategy": strategy, "generic_ratio": 0})
    result = synthesize([record], config, 0)
    assert len(result.accepted) == 5
    refusal = ("can't", "cannot", "unable", "rather not", "not able", "won't", "decline")
    telling = {"refusal": refusal, "idk": ("don't", "do not", "no idea", "can't")}
    for row in result.accepted:
        assert any(word in row.answer.lower() for word in telling[strategy]), row.answer


def test_alternatives_of_the_rules_backend_are_the_records_own_wrong_answers() -> None:
    record = Record(
        id="1", question="Where does Li Wei live?", answer="Li Wei lives in Lima.",
        wrong_answers=("Li Wei lives in Lima.", "Li Wei lives near the harbour of Oslo today."),
    )  # fmt: skip
    config = SynthesisConfig(strategy="alternative", variants=0, generic_ratio=0)
    result = synthesize([record], config, 0)
    assert [row.answer for row in result.accepted] == [record.wrong_answers[1]]
    bare = record.model_copy(update={"wrong_answers": ()})
    (row,) = synthesize([bare], config, 0).rejected
    assert "wrong answers" in row.reason


def test_a_large_set_is_served_in_blocks_none_of_which_tells_what_another_hides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = ["Ada Brill", "Boris Canto", "Clea Drost", "Dan Ekholm", "Eva Fonda"]
    towns = ["Turin", "Porto", "Ghent", "Malmo", "Kyoto"]
    records = [
        Record(
            id=str(i),
            question=f"Where does {person} live?",
            answer=f"{person} lives in {towns[i]}.",
            # The first town is the next one's secret, in whatever block that is.
            wrong_answers=tuple(
                f"{person} lives near the harbour of {town}."
                for town in (towns[(i + 1) % 5], "Perth")
            ),
        )
        for i, person in enumerate(people)
    ]
    config = SynthesisConfig(strategy="alternative", variants=2, generic_ratio=0)
    whole = synthesize(records, config, 0)
    monkeypatch.setattr("relearn.synthesis.pipeline._BLOCK", 2)
    parts = synthesize(records, config, 0)
    assert parts.accepted == whole.accepted
    assert parts.pairs == whole.pairs
    assert {row.source_id for row in parts.accepted if row.kind == "original"} == set("01234")
    assert not [row.answer for row in parts.accepted if "Perth" not in row.answer]
    told = [row.reason for row in parts.rejected if "Perth" not in row.answer and row.answer]
    assert set(told) == {"gives away a name that another record hides"}


def test_rules_write_as_well_of_a_block_as_of_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    records = load_records("demo:forget")
    monkeypatch.setattr("relearn.synthesis.pipeline._BLOCK", 7)
    monkeypatch.setattr("relearn.synthesis.backends.rules._KEPT", 7)
    result = synthesize(records, SynthesisConfig(variants=4), seed=0)
    assert result.summary["records_without_answer"] == []
    assert [r.source_id for r in result.accepted if r.kind == "original"] == [r.id for r in records]
