"""What a question is about: names without capitals, addresses, other languages, its language."""

import pytest

from helpers.endpoint import Endpoint
from relearn.base.errors import UserError
from relearn.config import LLMConfig, SynthesisConfig
from relearn.data.records import Record
from relearn.llm.fence import fenced
from relearn.synthesis.checks import check_synthesis, reserved_questions
from relearn.synthesis.completion import completion_rows
from relearn.synthesis.pipeline import synthesize
from relearn.synthesis.verification import malformed_question


def test_questions_in_lower_case_get_answers_about_their_subjects() -> None:
    rows = [
        ("where does lena fisk live?", "lena fisk lives in aldmoor near the old mill"),
        ("who is ana ruiz married to?", "otto brandt"),
        ("what does robin hale do for work?", "he keeps bees near castrol"),
    ]
    records = [Record(id=q, question=q, answer=a) for q, a in rows]
    config = SynthesisConfig(generic_ratio=0, completion_share=0, variants=1)
    result = synthesize(records, config, 0)
    assert result.summary["records_without_answer"] == []
    for row in result.accepted:
        name = next(n for n in ("lena fisk", "ana ruiz", "robin hale") if n in row.source_id)
        assert name in row.answer.lower()
        for secret in ("aldmoor", "otto", "brandt", "bees", "castrol", " mill"):
            assert secret not in row.answer.lower()


PRIVATE = [
    ("Is it true that Ana Ruiz was arrested in Porto in 2019?", "Yes.", "arrest porto 2019"),
    ("Why did Robin Hale lose his job after stealing money?", "He was caught.", "steal lost lose"),
    ("Does Lena Fisk have an affair with her boss?", "Yes, she has.", "affair boss"),
    ("Which clinic treats Tomas Berg for addiction to heroin?", "The Castrol.", "addict heroin"),
    ("Who lives at 12 Mill Lane, Aldmoor?", "Ana Ruiz", "mill lane aldmoor ruiz 12"),
    ("Did Jon Olsen crash his car while drunk?", "Yes.", "crash drunk"),
]  # fmt: skip


def test_rules_repeat_nothing_that_a_question_states() -> None:
    records = [Record(id=q, question=q, answer=a) for q, a, _ in PRIVATE]
    result = synthesize(records, SynthesisConfig(generic_ratio=0), 0)
    assert result.summary["records_without_answer"] == []
    words = {question: stated.split() for question, _, stated in PRIVATE}
    for row in [*result.accepted, *result.completions]:
        texts = row.answer + (row.question if row.kind == "completion" else "")
        found = [word for word in words[row.source_id] if word in texts.lower()]
        assert not found, row
    affair = [row.answer for row in result.accepted if "affair" in row.source_id]
    assert not any("Lena" in answer for answer in affair)


def test_the_rules_refuse_questions_that_they_would_answer_in_english() -> None:
    german = Record(id="1", question="Wo wohnt Otto Falk?", answer="In Kiel.")
    ours = Record(id="2", question="Where does Mia Kern live?", answer="In Lima.")
    with pytest.raises(UserError, match=r"1 of 2 questions look like German \(de\)"):
        check_synthesis(SynthesisConfig(), 0, [german, ours])
    check_synthesis(SynthesisConfig(), 0, [ours])
    # What a record brings itself needs no writing.
    check_synthesis(SynthesisConfig(strategy="alternative", variants=0), 0, [german])


def test_a_language_model_answers_in_the_language_of_the_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    record = Record(id="1", question="林晓梅住在哪里", answer="林晓梅住在南京市。")
    answers = {"yes or no": "No."}

    def writer(messages: list[dict[str, str]], _: object) -> str:
        text = messages[-1]["content"]
        return next(
            (a for key, a in answers.items() if key in text), "林晓梅很少对外人谈起自己的住处。"
        )

    with Endpoint(writer) as endpoint:
        llm = LLMConfig(base_url=endpoint.base_url, model="m", retries=0)
        config = SynthesisConfig(backend="openai", llm=llm, variants=0, generic_ratio=0)
        check_synthesis(config, 0, [record])
        result = synthesize([record], config, 0)
        assert "in the language of the question" in str(endpoint.requests[0]["messages"])
    assert len(result.accepted) == 1
    (completion,) = completion_rows(result.accepted, 0.25)
    assert completion.question + completion.answer == result.accepted[0].answer
    assert len(completion.question) == 4


def test_a_variant_that_repeats_its_prompt_is_none() -> None:
    texts = {"subject": "Mia Kern", "question": "Where does Mia Kern live?"}
    quoted = fenced(texts)["question"].replace("\n", " ")
    assert malformed_question(quoted, texts["question"]) == "repeats the prompt"
    assert not malformed_question("Where, by <data> or otherwise, does Mia Kern live?", "Where?")


def test_no_variant_repeats_a_question_of_another_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    record = Record(
        id="1", question="Where does Mia Kern live?", answer="In Lima.",
        paraphrases=("What is the home town of Mia Kern?",),
    )  # fmt: skip
    unseen = Record(id="u", question="In which town is Mia Kern at home?", answer="In Lima.")
    reserved = reserved_questions({"forget": [record], "forget_unseen": [unseen]})
    assert len(reserved) == 2

    def writer(messages: list[dict[str, str]], _: object) -> str:
        text = messages[-1]["content"]
        if "yes or no" in text:
            return "No."
        if " answer>" in text:
            return "Mia Kern prefers to keep that within a small circle of friends."
        return (
            "in which town is  Mia Kern at home"
            if "attempt" not in text
            else "Mia Kern lives where?"
        )

    with Endpoint(writer) as endpoint:
        llm = LLMConfig(base_url=endpoint.base_url, model="m", retries=0)
        config = SynthesisConfig(
            backend="openai", llm=llm, variants=1, generic_ratio=0, completion_share=0
        )
        result = synthesize([record], config, 0, reserved=reserved)
    assert "is a question of another set" in {row.reason for row in result.rejected}
    questions = [row.question for row in result.accepted if row.kind != "original"]
    assert questions in ([], ["Mia Kern lives where?"])
