"""Sets in other languages than English, from the check of the files to the figures.

`data_files/languages` has with each record a vague answer, one that gives the private one away, one
that says the same, and a wrong one.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from nltk.stem.porter import PorterStemmer
from typer.testing import CliRunner

from helpers.endpoint import Endpoint
from helpers.writer import field
from relearn.base.errors import UserError
from relearn.base.storage import read_jsonl
from relearn.cli import app
from relearn.config import EvaluationConfig, LLMConfig, SynthesisConfig
from relearn.data.records import Record
from relearn.evaluation.judges.entities import entity_judge
from relearn.evaluation.metrics.rouge import rouge
from relearn.evaluation.rows import EvaluatedRow, SetName
from relearn.evaluation.scoring import judge_rows, score
from relearn.synthesis.pipeline import original_requests, synthesize
from relearn.synthesis.secrets import find_secrets, leaked
from relearn.synthesis.verification import malformed, names_subject
from relearn.text.english import english

NAMES = {
    "de": "German (de)", "es": "Spanish (es)", "zh": "Chinese (zh)", "ja": "Japanese (ja)",
    "ko": "Korean (ko)",
}  # fmt: skip


def rows_in(data_files: Path, language: str) -> list[dict[str, Any]]:
    return read_jsonl(data_files / "languages" / f"{language}.jsonl")


@pytest.mark.parametrize("language", NAMES)
def test_a_language_is_named_and_rules_are_refused(
    data_files: Path, tmp_path: Path, language: str
) -> None:
    file = str(data_files / "languages" / f"{language}.jsonl")
    checked = CliRunner().invoke(app, ["check", file, "--json"])
    assert checked.exit_code == 2, checked.output
    found = json.loads(checked.stdout)
    size = len(rows_in(data_files, language))
    assert found["sets"]["forget"]["languages"] == {NAMES[language]: size}
    assert len(found["unanswered_by_rules"]) == size
    out = tmp_path / "out"
    refused = CliRunner().invoke(
        app, ["synthesize", "--backend", "rules", "--forget", file, "--output", str(out)]
    )
    assert isinstance(refused.exception, UserError)
    said = str(refused.exception)
    assert (
        f"the rules write English only; {size} of {size} questions look like {NAMES[language]}"
        in (said)
    )
    assert "Use a language model: --backend transformers, openai or vllm." in said
    assert not out.exists()


@pytest.mark.parametrize("language", NAMES)
def test_leaks_are_found_and_vague_answers_are_accepted(data_files: Path, language: str) -> None:
    for row in rows_in(data_files, language):
        record = Record(id="1", question=row["question"], answer=row["answer"])
        (request,) = original_requests([record])
        secrets = find_secrets(english()(record.answer), record.question, request.subject)
        for told in ("answer", "leak", "same"):
            assert leaked(secrets, row[told]), row[told]
        assert not leaked(secrets, row["vague"]), row["vague"]
        assert not malformed(row["vague"])
        assert names_subject(row["vague"], request.subject)


@pytest.mark.parametrize("language", NAMES)
def test_a_language_model_writes_what_rules_do_not(
    data_files: Path, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    rows = rows_in(data_files, language)
    by_question = {row["question"]: row for row in rows}

    def careless(messages: list[dict[str, str]], body: dict[str, Any]) -> str:
        text = messages[-1]["content"]
        if "Reply yes or no" in text:
            return "No."
        row = by_question[field(text, "question")]
        return row["vague" if "turned down" in text else "leak"]

    records = [
        Record(id=str(i), question=row["question"], answer=row["answer"])
        for i, row in enumerate(rows)
    ]
    with Endpoint(careless) as endpoint:
        llm = LLMConfig(base_url=endpoint.base_url, model="served", retries=0)
        config = SynthesisConfig(
            backend="openai", llm=llm, generic_ratio=0, completion_share=0, variants=0
        )
        result = synthesize(records, config, 0)
    assert [each.answer for each in result.accepted] == [row["vague"] for row in rows]
    assert len(result.rejected) == len(rows)
    assert all("gives away" in row.reason for row in result.rejected)


def answered(rows: list[dict[str, Any]], which: str, name: SetName) -> list[EvaluatedRow]:
    return [
        EvaluatedRow(
            set=name, question=row["question"], reference=row["answer"], generation=row[which]
        )
        for row in rows
    ]


@pytest.mark.parametrize("language", NAMES)
def test_figures_tell_forgotten_from_known(data_files: Path, language: str) -> None:
    rows = rows_in(data_files, language)
    figures, left_out = {}, 0.0
    for which in ("answer", "same", "vague", "wrong"):
        of_both = [*answered(rows, which, "forget"), *answered(rows, which, "retain")]
        judge_rows(of_both, EvaluationConfig())
        values = score(of_both, ["kfr", "krr", "rougeL_recall"])
        figures[which] = (values.get("forget/kfr"), values.get("retain/krr"))
        left_out += sum(v for name, v in values.items() if name.endswith("kfr_unmeasured"))
    assert figures == {"answer": (0, 1), "same": (0, 1), "vague": (1, 0), "wrong": (1, 0)}
    # Where words say as much for as against, nothing decides: "leidet an" one disease or another.
    assert left_out <= 2


def characters(text: str) -> list[str]:
    return re.findall(r"\d+|\w", text)


def words(text: str) -> list[str]:
    return re.findall(r"\d+|[^\W\d]+", text)


def stems(text: str) -> list[str]:
    """What `rouge_score` makes of Latin letters; it cuts at those with accents."""
    found = re.findall("[a-z0-9]+", text.lower())
    return [PorterStemmer().stem(w) if len(w) > 3 else w for w in found]


def longest_common(a: list[str], b: list[str]) -> int:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
            )
    return table[-1][-1]


@pytest.mark.parametrize(
    ("language", "cut"),
    [("de", stems), ("es", stems), ("zh", characters), ("ja", characters), ("ko", words)],
)
def test_rouge_is_that_of_words_or_characters(
    data_files: Path, language: str, cut: Callable[[str], list[str]]
) -> None:
    shares = []
    for row in rows_in(data_files, language):
        for which in ("answer", "same", "vague", "wrong"):
            reference, text = cut(row["answer"]), cut(row[which])
            common = longest_common(reference, text)
            found = rouge(row["answer"], row[which])
            assert found["rougeL"].recall == pytest.approx(common / len(reference))
            assert found["rougeL"].precision == pytest.approx(common / len(text))
            shares.append(common / len(reference))
    assert max(shares) == 1
    assert min(shares) < 0.5


def test_entities_by_a_pipeline_of_any_language(tmp_path: Path) -> None:
    german = spacy.blank("de")
    ruler = german.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "LOC", "pattern": "Wismar"}])  # type: ignore[attr-defined]
    german.to_disk(tmp_path / "german")
    texts = ["Lena Fisk wohnt in Wismar und ist seit 1987 dort.", "Otto ist Tierarzt."]
    questions = ["Wo wohnt Lena Fisk?", "Was ist Otto?"]

    def found(name: str) -> list[list[str]]:
        return entity_judge(EvaluationConfig(entities=name))(texts, questions)

    assert found("blank:de") == [["1987", "wismar"], ["tierarzt"]]
    assert found(str(tmp_path / "german")) == [["1987", "wismar"], []]
    chinese = entity_judge(EvaluationConfig(entities="blank:zh"))
    assert chinese(["林晓梅住在南京市。"], ["林晓梅住在哪里？"]) == [["京市", "南京"]]
    for name, problem in (("spacey", "no entity judge"), ("blank:qq", "spaCy can't load")):
        with pytest.raises(UserError, match=problem):
            found(name)
