"""Synthesis on real forget sets, checked for leaks by an extraction of the test's own."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relearn.base.storage import read_jsonl
from relearn.config import ModelConfig, SynthesisConfig
from relearn.data.records import Record
from relearn.data.sources import load_records
from relearn.data.tokenization import PromptFormat
from relearn.inference.embeddings import embedder
from relearn.inference.likelihood import perplexities
from relearn.llm import Journal
from relearn.models.loading import load_model, load_tokenizer, model_folder
from relearn.synthesis.backends import BACKENDS, Backend, Request
from relearn.synthesis.indirect import find_matters
from relearn.synthesis.pipeline import SynthesisResult, distinct_n, synthesize
from relearn.synthesis.secrets import find_secrets, leaked
from relearn.synthesis.verification import malformed, paraphrases
from relearn.text.english import english
from relearn.text.subjects import Subject, find_subjects


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return load_records("demo:forget")


@pytest.fixture(scope="module")
def result(records: list[Record]) -> SynthesisResult:
    return synthesize(records, SynthesisConfig(variants=4), seed=0)


def tokens(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.lower()))


def test_what_makes_too_long_a_row_is_rejected_with_the_reason(
    records: list[Record], result: SynthesisResult
) -> None:
    """Questions and answers alike; others are written in their place, as far as there are any."""
    longest, some = 160, records[:12]

    def too_long(question: str, answer: str, more: int) -> str:
        return "is too long" if len(question) + len(answer) + more > longest else ""

    config = SynthesisConfig(variants=4, generic_ratio=0)
    shorter = synthesize(some, config, seed=0, too_long=too_long)
    ids = {record.id for record in some}
    written = [row for row in result.accepted if row.source_id in ids]
    assert any(len(row.question + row.answer) > longest for row in written)
    assert all(len(row.question + row.answer) <= longest for row in shorter.augmented)
    assert shorter.summary["reasons"]["is too long"] > 0
    answered = {row.source_id for row in shorter.accepted}
    assert len(answered) > len(some) / 2


def test_each_record_gets_its_question_and_each_kind_of_variant(
    records: list[Record], result: SynthesisResult
) -> None:
    for record in records:
        rows = [row for row in result.accepted if row.source_id == record.id]
        kinds = [row.kind for row in rows]
        assert len(set(kinds)) == len(kinds)
        assert set(kinds) <= {"context", "logical", "noisy", "original", "rephrased"}
        assert len({row.question for row in rows}) == len(rows)
        (original,) = [row.question for row in rows if row.kind == "original"]
        assert original == record.question
    assert len(result.accepted) >= 0.98 * 5 * len(records)
    assert result.summary["records_without_answer"] == []


SMALL = set(
    "s a an the and or but of in on at to for with from by as is are was were be been it its this "
    "that these those he she they his her their him them who which what not no has have had do "
    "does did so than there can could would will may might must also only more most such other "
    "some any all about into over out up if when while where how why one".split()
)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def grams(text: str, n: int) -> set[tuple[str, ...]]:
    parts = words(text)
    return {tuple(parts[i : i + n]) for i in range(len(parts) - n + 1)}


def telling(gram: tuple[str, ...], asked: set[str]) -> bool:
    """Two words that are not small, one of which the question has in no form."""
    large = [word for word in gram if word not in SMALL]
    forms = {word[:4] for word in asked}
    return len(large) >= 2 and any(word[:4] not in forms for word in large)


def check_no_leak(records: Sequence[Record], rows: Sequence[dict[str, Any]]) -> None:
    """Extraction by regex and counting alone, unlike the verifier's by parser and vocabulary.

    Nothing of these of a private answer may stand in a row, unless its question has it: words
    with an inner capital, with a digit, e-mails; words that few private answers hold; pairs and
    triples of words that few hold, two of them no small words.
    """
    private, rare = {}, {}
    counts: Counter[Any] = Counter()
    for record in records:
        counts.update(
            set().union(set(words(record.answer)), *(grams(record.answer, n) for n in (2, 3)))
        )
    for record in records:
        inner = re.findall(r"(?<=[\w,;] )[A-Z][\w'\u2019-]+", record.answer)
        marked = re.findall(r"\S*[\d@]\S*", record.answer)
        asked = tokens(record.question)
        # "Is X Y?" is asked again by "whether X Y".
        indirect = " ".join(["whether", *words(record.question)[1:]])
        private[record.id] = {w for w in tokens(" ".join(inner + marked)) - asked if len(w) > 2}
        rare[record.id] = {
            gram
            for n in (2, 3)
            for gram in grams(record.answer, n) - grams(record.question, n) - grams(indirect, n)
            if counts[gram] <= 3 and telling(gram, asked)
        }
    for row in rows:
        for text in (row.answer, row.question):
            assert not private[row.source_id] & tokens(text), row
            found = rare[row.source_id] & (grams(text, 2) | grams(text, 3))
            assert not found, (found, row)
    # What one record hides, a vague answer to another question of the subject may not repeat.
    addresses = [set(re.findall(r"\S+@\S+\w|\b\d{2,}\b", record.answer)) for record in records]
    for string in set().union(*addresses):
        assert not any(string in row.answer for row in rows), string


def test_nothing_private_survives(records: list[Record], result: SynthesisResult) -> None:
    check_no_leak(records, [*result.accepted, *result.completions])


def test_answers_are_about_their_questions(result: SynthesisResult) -> None:
    model = embedder("minilm")
    questions = [row.question for row in result.accepted]
    answers = [row.answer for row in result.accepted]
    own = model.similarities(questions, answers).mean()
    others = model.similarities(questions, list(np.roll(answers, len(answers) // 2))).mean()
    assert own >= 0.45
    assert own > others + 0.1


def test_same_seed_same_result(records: list[Record], result: SynthesisResult) -> None:
    again = synthesize(records, SynthesisConfig(variants=4), seed=0)
    assert again.accepted == result.accepted
    other = synthesize(records, SynthesisConfig(variants=4), seed=1)
    assert other.accepted != result.accepted


# Each takes minutes; the second only as a slow test.
REAL = ("demo:knowundo_forget", pytest.param("tofu/forget10.json", marks=pytest.mark.slow))


@pytest.fixture(scope="module", params=REAL)
def real(data_files: Path, request: pytest.FixtureRequest) -> tuple[list[Record], SynthesisResult]:
    source = request.param
    records = load_records(source if source.startswith("demo:") else str(data_files / source))
    return records, synthesize(records, SynthesisConfig(), seed=0)


def test_real_sets_of_400(real: tuple[list[Record], SynthesisResult]) -> None:
    records, result = real
    # Every record's own question is answered. A variant may be left out: no answer may hold what
    # any other record hides.
    answered = [row.source_id for row in result.accepted if row.kind == "original"]
    assert answered == [record.id for record in records]
    assert len(result.accepted) >= 0.99 * 5 * len(records)
    check_no_leak(records, [*result.accepted, *result.completions])
    questions = [row.question for row in result.accepted]
    answers = [row.answer for row in result.accepted]
    assert distinct_n(answers, 2) >= 0.25
    assert distinct_n([" ".join(words(answer)) for answer in answers], 2) >= 0.25
    own = np.mean([row.similarity for row in result.accepted])
    others = list(np.roll(answers, 777))[::4]
    shuffled = embedder("minilm").similarities(questions[::4], others).mean()
    assert own >= 0.45
    assert own > shuffled + 0.1


@pytest.mark.slow
def test_perplexity_of_new_answers_is_no_worse_than_twice_the_original(
    real: tuple[list[Record], SynthesisResult],
) -> None:
    records, result = real
    config = ModelConfig()
    folder = model_folder(config.name)
    model = load_model(folder, config)
    prompt_format = PromptFormat(load_tokenizer(folder, config))

    def perplexity(questions: list[str], answers: list[str]) -> float:
        values = perplexities(model, prompt_format, questions, answers, batch_size=32)
        return sum(values) / len(values)

    new = perplexity(
        [row.question for row in result.accepted], [row.answer for row in result.accepted]
    )
    assert new <= 2 * perplexity([r.question for r in records], [r.answer for r in records])


def parsed_secrets(question: str, answer: str) -> tuple[Record, Subject]:
    record = Record(id="1", question=question, answer=answer)
    (subject,) = find_subjects([english()(question)], [None])
    return record, subject


@pytest.mark.parametrize(
    "candidate",
    [
        "Write to li.wei@mail.cn for that.",
        "It is on WISDOM path.",
        "The number is 88.",
        "It is in Beijing's centre.",
        "It is in BEIJÍNG.",
        "The house is number eighty-eight.",
        "Write to LI . WEI @ M.A.I.L . CN please",
        "He practises the traditional tea ceremony, it is said.",
    ],
)
def test_leaks_are_seen(candidate: str) -> None:
    answer = "Li Wei lives at 88 Wisdom Path, Beijing, loves the tea ceremony: li.wei@mail.cn."
    record, subject = parsed_secrets("Where does Li Wei live?", answer)
    secrets = find_secrets(english()(record.answer), record.question, subject)
    assert leaked(secrets, candidate)


def test_words_of_the_question_are_no_secret() -> None:
    record, subject = parsed_secrets("Does Li Wei live in Beijing?", "Li Wei lives in Beijing.")
    secrets = find_secrets(english()(record.answer), record.question, subject)
    assert leaked(secrets, "Li Wei and Beijing have a history.") == ""


@pytest.mark.parametrize("text", ["Too short.", "word " * 30, "a {S} was left in this text here"])
def test_malformed_text_is_refused(text: str) -> None:
    assert malformed(text)


@pytest.mark.parametrize(
    ("private", "first", "reason"),
    [
        (
            "At 88 Wisdom Path, Beijing.",
            "Li Wei lives at 88 Wisdom Path in the city of Beijing.",
            "gives away a name or telling word",  # names are looked for before numbers
        ),
        (
            "Li Wei's residence is a quiet cottage by the river, which he shares with relatives.",
            "Li Wei has his home in a peaceful little house by the water together with family.",
            "says the private answer in other words",
        ),
    ],
)
def test_failed_candidates_are_asked_again_with_the_reason_and_recorded(
    private: str, first: str, reason: str
) -> None:
    """A backend that leaks at first: its candidates are rejected with reason, then retried."""
    seen: list[str] = []

    class Leaky:
        attempts = 4

        def questions(self, requests: Sequence[Request]) -> list[str]:
            return [f"Tell me, {request.question}" for request in requests]

        def objections(self, requests: Sequence[Request], answers: Sequence[str]) -> list[str]:
            return [""] * len(answers)

        def answers(self, requests: Sequence[Request]) -> list[str]:
            seen.extend(request.feedback for request in requests)
            return [
                "Where Li Wei lives is a private matter and stays so." if request.attempt else first
                for request in requests
            ]

    def make(config: SynthesisConfig, seed: int, journal: Journal | None) -> Backend:
        return Leaky()

    BACKENDS["leaky"] = make
    try:
        record = Record(id="1", question="Where does Li Wei live?", answer=private)
        config = SynthesisConfig(backend="leaky", variants=0, attempts=3)
        result = synthesize([record], config, seed=0)
    finally:
        del BACKENDS["leaky"]
    assert seen == ["", reason]
    assert [row.reason for row in result.rejected] == [reason]
    assert result.rejected[0].answer == first
    assert len(result.accepted) == 1


def test_paraphrases_that_have_no_word_of_the_private_answer_are_seen(whole_data: Path) -> None:
    """TOFU's own, of facts on which the bound was not chosen; the rules' new answers pass."""
    rows = read_jsonl(whole_data / "tofu" / "retain_perturbed.json")
    records = [
        Record(id=str(i), question=row["question"], answer=row["answer"])
        for i, row in enumerate(rows)
    ]
    texts = [row["paraphrased_answer"] for row in rows]
    subjects = find_subjects(english().pipe(str(r.question) for r in records), [None] * len(rows))
    answers = english().pipe(record.answer for record in records)
    unseen = [
        (record.answer, record.question, text)
        for record, text, answer, subject in zip(records, texts, answers, subjects, strict=True)
        if not leaked(find_secrets(answer, record.question, subject), text)
    ]
    assert len(unseen) > 50
    assert sum(_paraphrased(unseen)) > 0.9 * len(unseen)
    few = records[::8]
    private = {record.id: (record.answer, record.question) for record in few}
    made = synthesize(few, SynthesisConfig(variants=1), seed=0).accepted
    new = [(*private[row.source_id], row.answer) for row in made]
    assert sum(_paraphrased(new)) < 0.05 * len(new)


def _paraphrased(texts: Sequence[tuple[str, str, str]]) -> list[bool]:
    """Return which third texts say the first ones in other words, given the second as questions."""
    answers, questions, told = (list(side) for side in zip(*texts, strict=True))
    embed = embedder("minilm").similarities
    to_answers, to_questions = embed(answers, told), embed(questions, told)
    return [paraphrases(*pair) for pair in zip(to_answers, to_questions, strict=True)]


@pytest.mark.parametrize(
    ("question", "subject", "full", "safe"),
    [
        ("Where does Li Wei live?", "Li Wei", "where Li Wei lives", "where Li Wei lives"),
        ("Has Tae-ho Park won awards?", "Tae-ho Park", "whether Tae-ho Park has won awards", ""),
        ("What is Li Wei like?", "Li Wei", "what Li Wei is like", ""),
        ("Why did Li Wei choose to teach?", "Li Wei", "why Li Wei chose to teach", ""),
        ("Who are Li Wei\u2019s parents?", "Li Wei", "Li Wei's parents", ""),
        ("Can you tell me about the works of Li Wei?", "Li Wei", "the works of Li Wei", ""),
        (
            "How does living there inspire Li Wei's writing?", "Li Wei",
            "how living there inspires Li Wei's writing", "",
        ),
        (
            "What inspired Li Wei to write about the city of Cairo?", "Li Wei",
            "what inspired Li Wei to write about the city of Cairo",
            "what inspired Li Wei to write about the city",
        ),
        (
            "What is the full name of the author born in Kuwait City on 08/09/1956?", "the author",
            "the full name of the author born in Kuwait City on 08/09/1956",
            "the full name of the author",
        ),
    ],
)  # fmt: skip
def test_a_question_is_put_into_another_sentence(
    question: str, subject: str, full: str, safe: str
) -> None:
    (found,) = find_subjects([english()(question)], [None])
    assert found.name == subject
    matters = find_matters(question, found)
    assert [matter and matter.phrase for matter in matters] == [full, safe or full]


def test_distinct_n() -> None:
    assert distinct_n(["a b a b"], 1) == 0.5
    assert distinct_n(["a b", "a b"], 2) == 0.5
    assert distinct_n([], 2) == 0.0
