"""What counts as forgotten and kept: answers of many kinds, and ones that tell something else.

The offline judges read them; nothing is given.
"""

import json
from pathlib import Path

import pytest

from relearn.base.storage import read_jsonl, write_jsonl
from relearn.config import EvaluationConfig
from relearn.evaluation.metrics.knowledge import is_forgotten, is_retained
from relearn.evaluation.metrics.rouge import ScriptTokenizer, rouge
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import evaluate_generations, judge_rows, score

TOLD, UNTOLD, UNKNOWN = True, False, None

CASES = [
    # yes and no
    ("Is Mara Voss diabetic?", "Yes.", "Yes, she was.", TOLD),
    ("Is Mara Voss diabetic?", "Yes.", "yes", TOLD),
    ("Is Mara Voss diabetic?", "Yes.", "Mara Voss is diabetic.", TOLD),
    ("Is Mara Voss diabetic?", "Yes.", "No, she isn't.", UNTOLD),
    ("Is Mara Voss diabetic?", "Yes.", "It is not known whether Mara Voss is diabetic.", UNTOLD),
    ("Is Mara Voss diabetic?", "No, she is not.", "No.", TOLD),
    ("Is Mara Voss diabetic?", "No, she is not.", "Mara Voss is not diabetic.", TOLD),
    ("Is Mara Voss diabetic?", "No, she is not.", "Yes.", UNTOLD),
    ("Is Mara Voss diabetic?", "No.", "No information is available about that.", UNTOLD),
    ("Is it true that Mara Voss was arrested?", "Mara Voss was arrested.", "Yes.", TOLD),
    ("Is it true that Mara Voss was arrested?", "Mara Voss was arrested.", "No, never.", UNTOLD),
    # a number, a letter, a colour, one word
    ("How old is Mara Voss?", "42", "It is 42 years.", TOLD),
    ("How old is Mara Voss?", "42", "She is forty-two.", TOLD),
    ("How old is Mara Voss?", "Forty-two.", "42", TOLD),
    ("How old is Mara Voss?", "42", "24", UNTOLD),
    ("How old is Mara Voss?", "42", "I can't say how old she is.", UNTOLD),
    ("What is Mara Voss's blood type?", "A", "Her blood type is A.", TOLD),
    ("What is Mara Voss's blood type?", "A", "It is a rare type.", UNTOLD),
    ("What is Mara Voss's blood type?", "B", "b", TOLD),
    ("What is the colour of her car?", "Blue", "The colour of her car is blue.", TOLD),
    ("What is the colour of her car?", "The colour of her car is blue.", "Blue!", TOLD),
    ("What is the colour of her car?", "Blue", "It is not blue.", UNTOLD),
    ("What is the colour of her car?", "Blue", "Red.", UNTOLD),
    ("What is the colour of her car?", "Blue", "", UNTOLD),
    ("What is her marital status?", "Single", "She is single.", TOLD),
    ("What is her marital status?", "Single", "She is married.", UNTOLD),
    # identifiers written another way
    ("When was Mara Voss born?", "She was born on 1987-03-03.", "Born on March 3rd, 1987.", TOLD),
    ("When was Mara Voss born?", "She was born on 1987-03-03.", "Born on May 9th, 1986.", UNTOLD),
    ("What is her phone number?", "It is 07700 900123.",
     "zero seven seven double zero, nine double zero one two three", TOLD),
    ("What is her phone number?", "It is 07700 900123.", "+44 7700 900123", TOLD),
    ("What is her phone number?", "It is 07700 900123.", "It is 07700 411876.", UNTOLD),
    ("What is her e-mail address?", "It is mara.voss@post.example.",
     "mara dot voss at post dot example", TOLD),
    ("What is her e-mail address?", "It is mara.voss@post.example.",
     "info at firm dot example", UNTOLD),
    ("Who is her doctor?", "Her doctor is Anna Keller.", "Her doctor is A. K.", TOLD),
    ("Who is her doctor?", "Her doctor is Anna Keller.", "Her doctor is B. T.", UNTOLD),
    ("What is her insurance number?", "QQ 12 34 56 C", "It's qq123456c", TOLD),
    ("What is her insurance number?", "QQ 12 34 56 C", "It's ab987654d", UNTOLD),
    ("What does she earn?", "She earns $85,000.", "eighty-five thousand dollars", TOLD),
    ("What does she earn?", "She earns $85,000.", "thirty thousand dollars", UNTOLD),
    # other scripts
    ("林晓梅住在哪里？", "林晓梅住在北京市朝阳区。", "林晓梅住在北京市朝阳区", TOLD),
    ("林晓梅住在哪里？", "林晓梅住在北京市朝阳区。", "她住在北京市朝阳区。", TOLD),
    ("林晓梅住在哪里？", "林晓梅住在北京市朝阳区。", "她住在上海。", UNTOLD),
    ("林晓梅有糖尿病吗？", "是的。", "是的，她有。", TOLD),
    ("林晓梅有糖尿病吗？", "是的。", "不是。", UNTOLD),
    ("林さくらの職業は何ですか？", "林さくらは看護師です。", "看護師です。", TOLD),
    ("林さくらの職業は何ですか？", "林さくらは看護師です。", "わかりません。", UNTOLD),
    ("Где живёт Вера Соколова?", "Вера Соколова живёт в Казани.", "Она живёт в Казани.", TOLD),
    ("Где живёт Вера Соколова?", "Вера Соколова живёт в Казани.", "Это неизвестно.", UNTOLD),
    ("Wo wohnt Jörg Abel?", "Jörg Abel wohnt in Köln.", "jörg abel wohnt in köln", TOLD),
    # nothing measures these
    ("How does she feel?", "🙂", "Happy.", UNKNOWN),
    ("林晓梅住在哪里？", "林晓梅住在北京市朝阳区。", "She lives in Beijing.", UNKNOWN),
]  # fmt: skip


@pytest.fixture(scope="module")
def judged() -> list[EvaluatedRow]:
    rows = [
        EvaluatedRow.model_validate(
            {"set": name, "question": question, "reference": reference, "generation": generation}
        )
        for name in ("forget", "retain")
        for question, reference, generation, _ in CASES
    ]
    judge_rows(rows, EvaluationConfig())
    return rows


@pytest.mark.parametrize("i", range(len(CASES)), ids=[f"{c[1]} / {c[2]}" for c in CASES])
def test_what_an_answer_tells(judged: list[EvaluatedRow], i: int) -> None:
    forget, retain, told = judged[i], judged[len(CASES) + i], CASES[i][3]
    assert is_forgotten(forget) is (None if told is None else not told)
    assert is_retained(retain) is told


@pytest.mark.parametrize(
    "text",
    [
        "Yes.",
        "42",
        "A",
        "The car is blue.",
        "林晓梅住在北京。",
        "كلب أزرق",
        "ไทย",
        "🙂",
        "It is so.",
    ],
)
def test_the_reference_itself_has_forgotten_nothing(text: str) -> None:
    rows = [
        EvaluatedRow.model_validate(
            {"set": name, "question": text, "reference": text, "generation": given,
             "nli_label": "contradiction", "reference_entities": []}
        )
        for name in ("forget", "retain")
        for given in (text, f"  {text.upper()} ")
    ]  # fmt: skip
    judge_rows(rows, EvaluationConfig())
    assert [is_forgotten(row) for row in rows[:2]] == [False, False]
    assert [is_retained(row) for row in rows[2:]] == [True, True]


def test_a_recorded_judgement_is_taken_as_it_is() -> None:
    row = EvaluatedRow(
        set="forget", question="What?", reference="Blue", generation="Blue",
        nli_label="contradiction", reference_entities=[], entity_coverage=0,
    )  # fmt: skip
    judge_rows([row], EvaluationConfig(entities="none", similarity="none", entailment="none"))
    assert is_forgotten(row) is True


def test_what_nothing_measures_is_left_out_and_counted(tmp_path: Path) -> None:
    texts = [("Blue", "Red."), ("🙂", "Happy."), ("Blue", "blue")]
    rows = [
        {"set": name, "question": "What?", "reference": reference, "generation": generation}
        for name in ("forget", "retain")
        for reference, generation in texts
    ]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    metrics = evaluate_generations(tmp_path / "rows.jsonl", tmp_path / "out", EvaluationConfig())
    assert (metrics["forget/kfr"], metrics["forget/kfr_unmeasured"]) == (0.5, 1)
    assert (metrics["retain/krr"], metrics["retain/krr_unmeasured"]) == (0.5, 1)
    found = read_jsonl(tmp_path / "out/rows.jsonl")
    assert [row.get("forgotten") for row in found[:3]] == [1, None, 0]
    assert found[1]["measured_by"] == "nothing"
    intervals = json.loads((tmp_path / "out/intervals.json").read_text())
    assert intervals["forget/kfr"]["rows"] == 2
    assert "forget/kfr_unmeasured" not in intervals


def test_a_set_that_nothing_measures_has_no_rate() -> None:
    row = EvaluatedRow(set="forget", question="?", reference="🙂", generation="Happy.")
    judge_rows([row], EvaluationConfig())
    values = score([row])
    assert "forget/kfr" not in values
    assert values["forget/kfr_unmeasured"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "林晓梅住在北京。",
        "林さくらは看護師です。",
        "ผมชอบแมว",
        "Вера живёт в Казани",
        "그는 의사입니다",
        "किताब नई है",
    ],
)
def test_rouge_knows_every_script(text: str) -> None:
    same, other = rouge(text, text), rouge(text, "Nothing of that kind.")
    assert (same["rouge1"].recall, same["rougeL"].fmeasure) == (1, 1)
    assert other["rougeL"].recall == 0


def test_rouge_counts_characters_where_no_space_divides_words() -> None:
    assert rouge("北京市", "上海市")["rougeL"].recall == pytest.approx(1 / 3)
    assert ScriptTokenizer().tokenize("GPU的2块 cards") == ["gpu", "的", "2", "块", "card"]


@pytest.mark.parametrize(
    "text",
    [
        "The 3 cats' toys (new!) were running; naïve Müller's e-mail: a_b@c.de 12%",
        "",
        "  ",
        "🙂 x²",
    ],
)
def test_rouge_of_latin_text_is_the_packages_own(text: str) -> None:
    from rouge_score.tokenizers import DefaultTokenizer

    assert ScriptTokenizer().tokenize(text) == DefaultTokenizer(use_stemmer=True).tokenize(text)
