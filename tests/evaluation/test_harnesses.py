"""relearn's tasks for lm-evaluation-harness and Inspect: the same answers, the same figures."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from rouge_score.rouge_scorer import RougeScorer

from helpers.record_files import as_lines
from relearn.config import EvaluationConfig, ModelConfig
from relearn.data.records import Record
from relearn.data.sources import load_records
from relearn.evaluation.evaluate import evaluate_model, loaded_when_needed
from relearn.evaluation.harnesses import INSPECT_TASKS, LM_EVAL_TASKS
from relearn.evaluation.harnesses.answers import SCORES, scores_of

PAIRS = [
    ("Where does Lena Fisk live?", "Lena Fisk lives in Aldmoor."),
    ("What does Otto Falk do?", "Otto Falk is a vet."),
    ("Who is Mia Kern married to?", "Mia Kern is married to Jon Olsen."),
]
ANSWERS = ("She lives in Aldmoor by the sea.", "Otto Falk is a vet.", "Nobody knows.")


def independent(references: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
    """What the `rouge_score` package itself makes of answers."""
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    found = [scorer.score(r, a)["rougeL"] for r, a in zip(references, answers, strict=True)]
    return {
        "rougeL_recall": statistics.mean(score.recall for score in found),
        "rougeL_f1": statistics.mean(score.fmeasure for score in found),
    }


def test_an_answer_is_scored_as_everywhere() -> None:
    for (question, reference), answer in zip(PAIRS, ANSWERS, strict=True):
        found = scores_of(question, reference, f" {answer}\n")
        exact = {"exact_match": float(answer == reference)}
        assert found == pytest.approx(independent([reference], [answer]) | exact)


class Loader(yaml.SafeLoader):
    """Reads `!function records.load` as its text."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def test_every_task_has_its_set_and_its_metrics() -> None:
    common = yaml.load((LM_EVAL_TASKS / "_answers").read_text(), Loader)  # noqa: S506
    assert [metric["metric"] for metric in common["metric_list"]] == list(SCORES)
    tasks, groups = {}, []
    for file in sorted(LM_EVAL_TASKS.glob("*.yaml")):
        task = yaml.load(file.read_text(), Loader)  # noqa: S506
        if "group" in task:
            groups += task["task"]
            continue
        tasks[task["task"]] = task["dataset_kwargs"]
        metrics = task.get("metric_list", common["metric_list"])
        assert {m["higher_is_better"] for m in metrics} == {not file.stem.endswith("_forget")}
    assert sorted(groups) == sorted(tasks)
    for name, of_task in tasks.items():
        assert name.endswith(of_task["name"])
        if of_task["source"].startswith("demo:"):
            assert len(load_records(of_task["source"])) > 100


def test_lm_eval_finds_what_relearn_finds(tiny_model: Path, tmp_path: Path) -> None:
    harness = pytest.importorskip(
        "lm_eval", reason="the extra relearn-llm[lm-eval] is not installed"
    )
    from lm_eval.tasks import TaskManager

    file = tmp_path / "mine.jsonl"
    file.write_bytes(as_lines([{"question": q, "answer": a} for q, a in PAIRS]))
    manager = TaskManager(include_path=str(LM_EVAL_TASKS), metadata={"forget": str(file)})
    found = harness.simple_evaluate(
        model="hf", model_args=f"pretrained={tiny_model},dtype=float32,device=cpu",
        tasks=["relearn_knowundo_forget"], task_manager=manager, metadata={"forget": str(file)},
        gen_kwargs={"max_gen_toks": 12}, apply_chat_template=True, bootstrap_iters=0,
    )  # fmt: skip
    figures = found["results"]["relearn_knowundo_forget"]
    samples = found["samples"]["relearn_knowundo_forget"]
    assert {sample["doc"]["question"] for sample in samples} == {q for q, _ in PAIRS}
    answers = [sample["filtered_resps"][0] for sample in samples]
    expected = independent([sample["doc"]["answer"] for sample in samples], answers)
    for name, value in expected.items():
        assert figures[f"{name},none"] == pytest.approx(value)

    model = loaded_when_needed(tiny_model, ModelConfig(dtype="float32"))
    records = {"forget": [Record(id=q, question=q, answer=a) for q, a in PAIRS]}
    ours = evaluate_model(
        model, model, records, [*expected], EvaluationConfig(max_new_tokens=12),
        tmp_path / "o", key="k",
    )  # fmt: skip
    assert ours == {f"forget/{name}": pytest.approx(value) for name, value in expected.items()}


def test_inspect_finds_what_relearn_finds(tmp_path: Path) -> None:
    inspect_ai = pytest.importorskip(
        "inspect_ai", reason="the extra relearn-llm[inspect] is not installed"
    )
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    file = tmp_path / "mine.jsonl"
    file.write_bytes(as_lines([{"question": q, "answer": a} for q, a in PAIRS]))
    outputs = [ModelOutput.from_content("mockllm/model", answer) for answer in ANSWERS]
    for output in outputs:
        output.usage = ModelUsage()  # which Inspect would else count with a tokenizer from afar
    model = get_model("mockllm/model", custom_outputs=outputs)
    (log,) = inspect_ai.eval(
        f"{INSPECT_TASKS}@records", task_args={"source": str(file)}, model=model,
        log_dir=str(tmp_path / "logs"), display="none", max_samples=1,
    )  # fmt: skip
    assert log.status == "success", log.error
    found = {score.name: score.metrics["mean"].value for score in log.results.scores}
    expected = independent([reference for _, reference in PAIRS], ANSWERS)
    assert found == pytest.approx(expected | {"exact_match": 1 / 3})
