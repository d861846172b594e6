"""Multiple choice: against the logits of transformers itself, and what columns of choices mean."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from helpers.record_files import as_csv, as_lines
from relearn.base.errors import UserError
from relearn.config import EvaluationConfig, ModelConfig, PromptConfig
from relearn.data.records import Record
from relearn.data.sources import load_records
from relearn.evaluation.evaluate import evaluate_model, loaded_when_needed, read_evaluated_rows

CHOICES = ("Rome", "Oslo", "Lima", "Bern")
RECORDS = {
    "forget": [
        Record(id=f"q{i}", question=f"Where is tower {i * i}?", answer=CHOICES[i % 4],
               choices=CHOICES)
        for i in range(9)
    ]
}  # fmt: skip


def test_accuracy_is_that_of_the_letters_logits(tiny_model: Path, tmp_path: Path) -> None:
    asked = ModelConfig(dtype="float32", prompt=PromptConfig(template="{question} {answer}"))
    model = loaded_when_needed(tiny_model, asked)
    config = EvaluationConfig(batch_size=3)
    metrics = ["multiple_choice_accuracy"]
    values = evaluate_model(model, model, RECORDS, metrics, config, tmp_path / "o", key="k")

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    plain = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    letters = [tokenizer(f" {letter}", add_special_tokens=False).input_ids[0] for letter in "ABCD"]
    right = 0
    rows = {row.id: row for row in read_evaluated_rows(tmp_path / "o")}
    for i, record in enumerate(RECORDS["forget"]):
        text = f"Where is tower {i * i}?\nA. Rome\nB. Oslo\nC. Lima\nD. Bern\nAnswer:"
        with torch.no_grad():
            logits = plain(tokenizer(text, return_tensors="pt").input_ids).logits[0, -1]
        expected = logits.log_softmax(-1)[letters]
        found = torch.tensor(rows[record.id].choice_log_probs)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
        right += int(expected.argmax()) == i % 4
    assert values == {"forget/multiple_choice_accuracy": pytest.approx(right / 9)}
    # A model that answers by chance has neither none nor all of nine right; then this shows little.
    assert 0 < right < 9


def read(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> list[Record]:
    data = as_csv(rows) if name.endswith("csv") else as_lines(rows)
    (folder / name).write_bytes(data)
    return load_records(str(folder / name))


def test_numbers_and_letters_are_choices(tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": ["2", "Nile", "Bug"]}
    for answer, text in ((0, "2"), (1, "Nile"), ("B", "Nile"), ("c", "Bug"), ("Nile", "Nile")):
        (record,) = read(tmp_path, [row | {"answer": answer}])
        assert (record.answer, record.choices) == (text, ("2", "Nile", "Bug"))
    # Where all answers are among the choices, they are their texts.
    (record,) = read(tmp_path, [row | {"answer": "2"}])
    assert record.answer == "2"
    arc = {"text": ["Nile", "Rhine"], "label": ["A", "B"]}
    (record,) = read(tmp_path, [{"question": "Which?", "choices": arc, "answer": "B"}])
    assert record.answer == "Rhine"
    (record,) = read(
        tmp_path, [{"question": "Q", "options": '["Nile", "Rhine"]', "answer": 1}], "rows.csv"
    )
    assert record.answer == "Rhine"


def test_without_choices_a_number_is_an_answer(tmp_path: Path) -> None:
    rows = [{"question": f"How many are {n}?", "answer": n, "choices": []} for n in (3, 42)]
    assert [record.answer for record in read(tmp_path, rows)] == ["3", "42"]


def test_a_number_of_no_choice_is_refused(tmp_path: Path) -> None:
    rows = [{"question": "Which?", "choices": ["Nile", "Rhine"], "answer": n} for n in (1, 2)]
    with pytest.raises(UserError, match=r"line 2 field 'answer' is the number .* of no choice"):
        read(tmp_path, rows)


def test_an_answer_in_words_needs_no_choices(tmp_path: Path) -> None:
    (record,) = read(tmp_path, [{"question": "Q", "choices": ["Nile"], "answer": "The Rhine."}])
    assert (record.answer, record.choices) == ("The Rhine.", ())
