"""General ability through lm-evaluation-harness, on a task file of one's own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from relearn.base.errors import UserError
from relearn.config import EvaluationConfig, ModelConfig
from relearn.data.records import Record
from relearn.evaluation.evaluate import evaluate_model, loaded_when_needed
from relearn.evaluation.general import general_ability
from relearn.evaluation.passes import EvaluatedModel

TASK = """
task: colours
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{question}}}}"
doc_to_target: "{target}"
{more}
"""
CHOICES = """
doc_to_choice: "{{choices}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
WRITTEN = """
generation_kwargs: {until: ["."], max_gen_toks: 2}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
QUESTIONS = [
    {"question": f"The colour of thing {i} is", "choices": ["red", "blue"], "label": i % 2}
    for i in range(8)
]
# In the tokenizer's chat template, in one of the user's own, and in none.
FORMATS = {
    "chat": ModelConfig(dtype="float32", system="Be brief."),
    "own": ModelConfig(dtype="float32", prompt={"template": "Q: {question}\nA: {answer}"}),
    "none": ModelConfig(dtype="float32"),
}


def asked(tiny_model: Path, tmp_path: Path, name: str) -> EvaluatedModel:
    """Return the tiny model, to be asked in one of the formats."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    if name == "none":
        (folder / "chat_template.jinja").unlink()
    return loaded_when_needed(folder, FORMATS[name])


def task(tmp_path: Path, **parts: str) -> EvaluationConfig:
    file = tmp_path / "test.jsonl"
    file.write_text("\n".join(map(json.dumps, QUESTIONS)))
    (tmp_path / "colours.yaml").write_text(TASK.format(file=file, **parts))
    return EvaluationConfig(lm_eval_tasks=["colours"], lm_eval_path=str(tmp_path))


def rows_read(
    monkeypatch: pytest.MonkeyPatch, method: str, rows: Callable[..., list[list[int]]]
) -> list[list[int]]:
    """Return a list that takes up the token rows of each call of a method of the harness's model.

    `rows` gets what `method` is called with, and returns them.
    """
    harness = pytest.importorskip(
        "lm_eval.models.huggingface", reason="the extra relearn-llm[lm-eval] is not installed"
    )
    read: list[list[int]] = []
    original = getattr(harness.HFLM, method)

    def spy(self: Any, *arguments: Any, **options: Any) -> Any:
        read.extend(rows(*arguments, **options))
        return original(self, *arguments, **options)

    monkeypatch.setattr(harness.HFLM, method, spy)
    return read


@pytest.mark.parametrize("name", FORMATS)
def test_accuracy_on_a_local_task_is_that_of_the_likelier_choices(
    name: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the tokens that training and evaluation read too, in whatever format there is."""

    def rows(requests: Any, *_: Any, **__: Any) -> list[list[int]]:
        return [[*context, *continuation] for _, context, continuation in requests]

    read = rows_read(monkeypatch, "_loglikelihood_tokens", rows)
    model = asked(tiny_model, tmp_path, name)
    config = task(tmp_path, kind="multiple_choice", target="{{label}}", more=CHOICES)
    values = general_ability(model, config)

    wanted, right = [], 0
    for question in QUESTIONS:
        scores = []
        for choice in question["choices"]:
            if name == "none":
                tokenizer = model.prompt_format.tokenizer
                prompt = tokenizer(question["question"]).input_ids
                whole = tokenizer(f"{question['question']} {choice}").input_ids
            else:
                example = model.prompt_format.encode(question["question"], choice, end=False)
                prompt, whole = example.prompt, [*example.prompt, *example.answer]
            wanted.append(whole)
            with torch.inference_mode():
                log_probs = model.model(torch.tensor([whole])).logits[0].log_softmax(-1)
            scores.append(
                sum(log_probs[i - 1, whole[i]].item() for i in range(len(prompt), len(whole)))
            )
        right += scores.index(max(scores)) == question["label"]
    assert sorted(read) == sorted(wanted)
    assert values == {"general/colours": right / 8, "general/ability": right / 8}


@pytest.mark.parametrize("name", FORMATS)
def test_written_answers_begin_where_the_format_s_do(
    name: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(context: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> list[list[int]]:
        pairs = zip(context, attention_mask.bool(), strict=True)
        return [row[kept].tolist() for row, kept in pairs]

    read = rows_read(monkeypatch, "_model_generate", rows)
    model = asked(tiny_model, tmp_path, name)
    general_ability(model, task(tmp_path, kind="generate_until", target="red", more=WRITTEN))
    tokenizer = model.prompt_format.tokenizer
    prompt = tokenizer.encode if name == "none" else model.prompt_format.encode_prompt
    assert sorted(read) == sorted(prompt(question["question"]) for question in QUESTIONS)


def test_an_unknown_task_is_named_before_the_model_is_loaded(
    tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("lm_eval", reason="the extra relearn-llm[lm-eval] is not installed")
    model = loaded_when_needed(tiny_model, ModelConfig())
    config = EvaluationConfig(lm_eval_tasks=["no_such_task"])
    with pytest.raises(UserError, match="no_such_task"):
        general_ability(model, config)
    records = {"forget": [Record(id="1", question="Who?", answer="Emma.")]}
    output = tmp_path / "out"
    with pytest.raises(UserError, match="no_such_task"):
        evaluate_model(model, model, records, ["exact_match"], config, output, key="k")
    assert "model" not in vars(model)
    assert not output.exists()
