"""General ability through lm-evaluation-harness, on a task file of one's own."""

import json
from pathlib import Path

import pytest
import torch

from relearn.base.errors import UserError
from relearn.config import EvaluationConfig, ModelConfig
from relearn.data.records import Record
from relearn.evaluation.evaluate import evaluate_model, loaded_when_needed
from relearn.evaluation.general import general_ability

TASK = """
task: colours
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{label}}}}"
doc_to_choice: "{{{{choices}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


def test_accuracy_on_a_local_task_is_that_of_the_likelier_choices(
    tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("lm_eval", reason="the extra relearn[lm-eval] is not installed")
    questions = [
        {"question": f"The colour of thing {i} is", "choices": ["red", "blue"], "label": i % 2}
        for i in range(8)
    ]
    file = tmp_path / "test.jsonl"
    file.write_text("\n".join(map(json.dumps, questions)))
    (tmp_path / "colours.yaml").write_text(TASK.format(file=file))
    config = EvaluationConfig(lm_eval_tasks=["colours"], lm_eval_path=str(tmp_path))
    model = loaded_when_needed(tiny_model, ModelConfig(dtype="float32"))
    values = general_ability(model, config)

    tokenizer = model.prompt_format.tokenizer
    right = 0
    for question in questions:
        scores = []
        for choice in question["choices"]:
            prompt = tokenizer(question["question"]).input_ids
            whole = tokenizer(f"{question['question']} {choice}").input_ids
            with torch.inference_mode():
                log_probs = model.model(torch.tensor([whole])).logits[0].log_softmax(-1)
            scores.append(
                sum(log_probs[i - 1, whole[i]].item() for i in range(len(prompt), len(whole)))
            )
        right += scores.index(max(scores)) == question["label"]
    assert values == {"general/colours": right / 8, "general/ability": right / 8}


def test_an_unknown_task_is_named_before_the_model_is_loaded(
    tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("lm_eval", reason="the extra relearn[lm-eval] is not installed")
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
