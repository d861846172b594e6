"""Passes over a model: against transformers itself, once each, and resumed by the batch."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from typer.testing import CliRunner

from helpers.command import Command
from relearn.base.errors import UserError
from relearn.base.storage import read_json, read_jsonl
from relearn.cli import app
from relearn.config import DataConfig, EvaluationConfig, ModelConfig, load_config
from relearn.data.openings import Opening
from relearn.data.records import Record
from relearn.data.sources import load_sets
from relearn.data.tokenization import Example
from relearn.evaluation.evaluate import (
    evaluate_model,
    evaluate_named,
    loaded_when_needed,
    wanted_fields,
    write_comparison,
)
from relearn.evaluation.passes import PASSES, EvaluatedModel, make_pass, passes_for
from relearn.evaluation.rows import EvaluatedRow, SetName
from relearn.evaluation.scoring import score
from relearn.evaluation.suites import load_suite, set_sources, suite_names
from relearn.inference.generation import continuations
from relearn.inference.likelihood import answer_statistics, gradient_norm

RECORDS = {
    name: [
        Record(
            id=f"{name}-{i}",
            question=f"What is number {i * 7 ** (i % 4)} of the {name} list?",
            answer="It is " + "very " * (i % 3) + f"round {i}.",
            paraphrased_answer=f"Round {i} it is.",
            wrong_answers=(f"It is square {i}.", f"It is {i + 1}."),
        )
        for i in range(7)
    ]
    for name in ("forget", "retain", "holdout")
}
CONFIG = EvaluationConfig(max_new_tokens=6, batch_size=4)
TEXT_FREE = [
    "probability", "truth_ratio", "exact_memorization", "extraction_strength",
    "mia_min_k_plus_plus_auc", "mia_reference_auc", "mia_gradient_norm_tpr",
]  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> EvaluatedModel:
    return loaded_when_needed(tiny_model, ModelConfig(dtype="float32"))


def test_batched_continuations_are_those_of_generate(tiny: EvaluatedModel) -> None:
    model = tiny.model
    torch.manual_seed(0)
    prompts = [torch.randint(5, 5000, (n,)).tolist() for n in (3, 17, 9, 1, 17, 30)]
    # Some common next words become ends, so that rows finish at different times.
    firsts = Counter(
        token
        for prompt in prompts
        for token in model.generate(  # type: ignore[operator]
            torch.tensor([prompt], device=model.device),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=None,
        )[0, len(prompt) :].tolist()
    )
    ends = [token for token, _ in firsts.most_common(40)][::9]
    before = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = ends
    try:
        expected = []
        for prompt in prompts:
            output = model.generate(  # type: ignore[operator]
                torch.tensor([prompt], device=model.device),
                max_new_tokens=12,
                do_sample=False,
                pad_token_id=2,
            )[0, len(prompt) :].tolist()
            expected.append([token for token in output if token not in ends])
        found = continuations(model, prompts, max_new_tokens=12, pad_token_id=2)
    finally:
        model.generation_config.eos_token_id = before
    assert found == expected
    assert len({len(tokens) for tokens in found}) > 2


def test_token_statistics_are_their_formulas(tiny: EvaluatedModel) -> None:
    examples = [Example([4, 5, 6], [70, 8, 2]), Example([4], [9]), Example([1] * 9, [10, 11])]
    for example, found in zip(examples, answer_statistics(tiny.model, examples, 2), strict=True):
        with torch.inference_mode():
            ids = torch.tensor([example.prompt + example.answer], device=tiny.model.device)
            logits = tiny.model(ids).logits[0, len(example.prompt) - 1 : -1].cpu().double()
        answer = torch.tensor(example.answer)
        probs = logits.softmax(-1)
        log_probs = probs.log()
        chosen = log_probs[range(len(answer)), answer]
        mean = (probs * log_probs).sum(-1)
        deviation = (probs * (log_probs - mean[:, None]) ** 2).sum(-1).sqrt()
        torch.testing.assert_close(found.log_probs.double(), chosen, rtol=1e-5, atol=1e-5)
        assert found.greedy.tolist() == (logits.argmax(-1) == answer).tolist()
        expected = (chosen - mean) / deviation
        torch.testing.assert_close(found.z_scores.double(), expected, rtol=1e-2, atol=1e-2)


def test_gradient_norm_is_that_of_a_backward_pass(tiny_model: Path, tiny: EvaluatedModel) -> None:
    example = Example([4, 5, 6], [70, 8, 2])
    other = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    ids = torch.tensor([example.prompt + example.answer])
    labels = ids.clone()
    labels[:, :3] = -100
    other(ids, labels=labels).loss.backward()
    squares = [p.grad.square().sum() for p in other.parameters() if p.grad is not None]
    expected = float(torch.stack(squares).sum().sqrt())
    assert gradient_norm(tiny.model, example, 2) == pytest.approx(expected, rel=1e-4)


def test_perplexity_is_taken_in_the_prompt_format_and_of_plain_text(
    tiny: EvaluatedModel, tmp_path: Path
) -> None:
    row = EvaluatedRow(set="forget", question="Who?", reference="r", generation=" A nurse, I think")
    tokenizer = tiny.prompt_format.tokenizer
    for name in ("perplexity", "plain_perplexity"):
        make_pass(name, [row], tiny, EvaluationConfig(), tmp_path / name)
    # As the paper's code has it: the question, then the answer, its loss only.
    ids = torch.tensor([tokenizer("Who? A nurse, I think")["input_ids"]], device=tiny.model.device)
    labels = ids.clone()
    labels[:, : len(tokenizer("Who?")["input_ids"])] = -100
    with torch.inference_mode():
        expected = tiny.model(ids, labels=labels).loss.exp().item()
    assert row.plain_perplexity == pytest.approx(expected, rel=1e-4)
    assert row.perplexity != pytest.approx(expected, rel=1e-3)
    values = score([row], ["perplexity", "plain_perplexity", "ls", "plain_ls"])
    assert values["forget/plain_perplexity"] == row.plain_perplexity
    assert values["forget/plain_ls"] != values["forget/ls"]


def rows(names: tuple[str, ...] = ("forget", "retain", "holdout")) -> list[EvaluatedRow]:
    return [
        EvaluatedRow.model_validate(
            {"set": name, "question": r.question, "reference": r.answer, "generation": "",
             "wrong_answers": list(r.wrong_answers), "paraphrased_answer": r.paraphrased_answer}
        )
        for name in names
        for r in RECORDS[name]
    ]  # fmt: skip


def test_a_metric_brings_the_passes_that_it_needs() -> None:
    wanted = wanted_fields(rows(), ["kfr", "ls", "mia_loss_auc", "forget_quality"])
    assert passes_for(wanted["forget"]) == [
        "generation",
        "likelihood",
        "alternatives",
        "perplexity",
    ]
    assert passes_for(wanted["retain"]) == ["generation", "perplexity"]
    assert passes_for(wanted["holdout"]) == ["likelihood"]
    without = wanted_fields(rows(("forget",)), ["mia_loss_auc"])  # there is no holdout
    assert passes_for(without["forget"]) == []


def test_every_pass_is_made_once_and_the_results_are_complete(
    tiny: EvaluatedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    for name, one in PASSES.items():
        monkeypatch.setattr(
            one,
            "run",
            lambda model, examples, config, name=name, run=one.run: (
                read.update({name: len(examples)}) or run(model, examples, config)
            ),
        )
    names = [*TEXT_FREE, "rougeL_recall", "exact_match", "ls", "verbatim_memorization"]
    output = tmp_path / "out"
    values = evaluate_model(tiny, tiny, RECORDS, names, CONFIG, output, key="k")
    assert read == {
        "generation": 14, "continuation": 14, "likelihood": 21, "alternatives": 42,
        "base_likelihood": 14, "gradient": 14, "perplexity": 14,
    }  # fmt: skip
    assert values == read_json(output / "metrics.json")
    expected = {"overall/mia_reference_auc", "forget/probability", "retain/ls"}
    assert expected <= values.keys()
    assert read_json(output / "intervals.json").keys() == values.keys()
    assert sorted(f.name for f in output.iterdir()) == [
        ".lock", "intervals.json", "metrics.json", "rows.jsonl", "rows.parquet",
    ]  # fmt: skip
    table = pyarrow.parquet.read_table(output / "rows.parquet").to_pylist()
    written = read_jsonl(output / "rows.jsonl")
    for row in written:  # the model is its own base
        assert row.get("mia_reference", 0) == pytest.approx(0, abs=1e-4)
    assert [row["rougeL_recall"] for row in table] == [r.get("rougeL_recall") for r in written]
    assert len(table) == 21
    with pytest.raises(UserError, match="already used"):
        evaluate_model(tiny, tiny, RECORDS, names, CONFIG, output, key="k")

    other = tmp_path / "other"
    evaluate_model(tiny, tiny, RECORDS, names, CONFIG, other, key="k", retain_model=output)
    write_comparison(other, {"before": output})
    comparison = read_json(other / "comparison.json")["before"]
    assert comparison["forget/rougeL_recall"]["p_value"] == 1
    assert comparison["retain/ls"]["difference"] == 0


class KilledError(Exception):
    """Stands for a kill after a batch."""


def test_a_pass_goes_on_after_the_last_whole_batch(
    tiny: EvaluatedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = tmp_path / "generation.jsonl"
    whole, resumed = rows(), rows()
    make_pass("generation", whole, tiny, CONFIG, tmp_path / "whole.jsonl")
    real, calls = PASSES["generation"].run, Counter[str]()

    def run(*arguments: object) -> object:
        calls["run"] += 1
        if calls["run"] == 4:
            raise KilledError
        return real(*arguments)

    monkeypatch.setattr(PASSES["generation"], "run", run)
    with pytest.raises(KilledError):
        make_pass("generation", resumed, tiny, CONFIG, parts)
    with parts.open("a") as file:
        file.write('["torn')
    make_pass("generation", resumed, tiny, CONFIG, parts)
    assert calls["run"] == 4 + 3  # 21 rows make 6 batches of 4
    assert resumed == whole
    assert parts.read_text() == (tmp_path / "whole.jsonl").read_text()


def test_a_batch_that_does_not_fit_into_memory_is_halved(
    tiny: EvaluatedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halved = rows(), rows()
    make_pass("likelihood", whole, tiny, CONFIG, tmp_path / "whole.jsonl")
    real, sizes = PASSES["likelihood"].run, Counter[int]()

    def run(model: Any, examples: Any, config: Any) -> Any:
        sizes[len(examples)] += 1
        if len(examples) > 2:
            torch.empty(1 << 55, dtype=torch.uint8)  # the allocator's own error
        return real(model, examples, config)

    monkeypatch.setattr(PASSES["likelihood"], "run", run)
    make_pass("likelihood", halved, tiny, CONFIG, tmp_path / "halved.jsonl")
    assert sizes == {4: 5, 2: 10, 1: 1}  # 21 rows in batches of 4
    for one, other in zip(whole, halved, strict=True):
        assert one.answer_log_probs == pytest.approx(other.answer_log_probs, rel=1e-4, abs=1e-5)


def test_another_evaluations_folder_is_refused(tiny: EvaluatedModel, tmp_path: Path) -> None:
    def load() -> PreTrainedModel:
        raise KilledError

    broken = EvaluatedModel(tiny.prompt_format, load)
    with pytest.raises(KilledError):
        evaluate_model(broken, tiny, RECORDS, ["ls"], CONFIG, tmp_path / "o", key="k")
    with pytest.raises(UserError, match="another evaluation"):
        evaluate_model(tiny, tiny, RECORDS, ["ls"], CONFIG, tmp_path / "o", key="other")


@pytest.mark.parametrize("field", ["entities", "similarity", "entailment"])
def test_a_wrong_judge_is_named_before_a_model_is_loaded(
    tiny: EvaluatedModel, tmp_path: Path, field: str
) -> None:
    def load() -> PreTrainedModel:
        raise KilledError

    broken, output = EvaluatedModel(tiny.prompt_format, load), tmp_path / "o"
    config = CONFIG.model_copy(update={field: str(tmp_path / "nothing")})
    with pytest.raises(UserError, match="nothing"):
        evaluate_model(broken, broken, RECORDS, ["kfr"], config, output, key="k")
    assert not output.exists()


def loaded(suite: str, data: list[str]) -> dict[SetName, list[Record]]:
    sources = set_sources(load_suite(suite), data)
    return load_sets(sources, DataConfig(), ModelConfig())[0]


def test_a_suites_files_may_be_packed(tmp_path: Path) -> None:
    for name in (
        "forget10_perturbed.jsonl.gz",
        "retain_perturbed.csv",
        "forget10_perturbed.old.csv",
        "real_authors_perturbed.json",
        "world_facts_perturbed.parquet",
    ):
        (tmp_path / name).touch()
    assert set_sources(load_suite("tofu"), [str(tmp_path)]) == {
        "forget": str(tmp_path / "forget10_perturbed.jsonl.gz"),
        "retain": str(tmp_path / "retain_perturbed.csv"),
        "real_authors": str(tmp_path / "real_authors_perturbed.json"),
        "world_facts": str(tmp_path / "world_facts_perturbed.parquet"),
    }


def test_a_run_measures_what_its_verdict_rests_on_whatever_the_benchmark() -> None:
    for name in ("knowundo", "lume", "muse", "relearn", "rwku", "tofu", "wmdp"):
        suite = load_suite(name)
        assert {"kfr", "krr", "ls"} <= set(suite.metric_names(in_run=True)), name
        assert set(suite.metric_names()) <= set(suite.metric_names(in_run=True)), name
    # The benchmark's own figures stay its own.
    assert load_suite("wmdp").metric_names() == ["multiple_choice_accuracy"]
    corpus = {"forget": [Record(id="1", question=Opening("Once"), answer="there was")]}
    assert "extraction_strength" in load_suite("wmdp").metric_names(corpus, in_run=True)


def test_suites_name_metrics_and_files(data_files: Path, knowundo: Path, tmp_path: Path) -> None:
    assert suite_names() == [
        "custom", "knowundo", "lume", "muse", "relearn", "rwku", "tofu", "wmdp",
    ]  # fmt: skip
    for name in suite_names():
        assert load_suite(name).metric_names()
    sets = loaded("tofu", [str(data_files / "tofu")])
    assert {name: len(records) for name, records in sets.items()} == {
        "forget": 8, "retain": 7, "real_authors": 6, "world_facts": 5,
    }  # fmt: skip
    first = sets["forget"][0]
    assert first.paraphrased_answer == "Hsiao Yun-Hwa is the complete name of the writer."
    assert len(first.wrong_answers) == 5
    sets = loaded("knowundo", [str(knowundo)])
    assert {name: len(records) for name, records in sets.items()} == {"forget": 110, "retain": 108}
    own = tmp_path / "own.yaml"
    own.write_text("metrics: [kfr]\nsets: {forget: unlearn_val}\n")
    assert load_suite(str(own)).metric_names() == ["kfr"]
    for text, problem in (("metrics: [nothing]", "nothing"), ("set: {}", "set"), ("[", "own.yaml")):
        own.write_text(text)
        with pytest.raises(UserError, match=problem):
            load_suite(str(own))
    for data, problem in (([], "no forget"), (["forgot=x"], "forgot"), ([str(own)], "no folder")):
        with pytest.raises(UserError, match=problem):
            set_sources(load_suite("muse"), data)


def test_the_whole_of_tofu_is_loaded(whole_data: Path) -> None:
    sets = loaded("tofu", [str(whole_data / "tofu")])
    assert {name: len(records) for name, records in sets.items()} == {
        "forget": 400, "retain": 400, "real_authors": 100, "world_facts": 117,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "either"),
        (["--model", "m", "--generations", "g"], "either"),
        (["--generations", "g", "--suite", "tofu"], "go with --model"),
        (["--model", "m", "--suite", "nothing"], "no suite"),
        (["--model", "m", "--metric", "nothing"], "no metric"),
        (["--model", "m", "--data", "nowhere"], "no folder"),
        (["--model", "m", "--against", "nowhere"], "no evaluation"),
        (["--model", "m", "--retain-model", "nowhere"], "no evaluation"),
    ],
)
def test_bad_options_are_named_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], problem: str
) -> None:
    output = tmp_path / "out"
    result = CliRunner().invoke(app, ["evaluate", "--output", str(output), *arguments])
    assert isinstance(result.exception, UserError)
    assert problem in str(result.exception)
    assert not output.exists()


def test_killed_command_resumes_and_ends_as_if_never_killed(
    tiny_model: Path, knowundo: Path, tmp_path: Path
) -> None:
    for name, file in (("forget", "unlearn_val"), ("retain", "retention_val")):
        records = json.loads((knowundo / f"{file}.json").read_text())[:12]
        (tmp_path / f"{name}.json").write_text(json.dumps(records))

    command = [
        "evaluate", "--model", str(tiny_model),
        "--suite", "relearn", "--data", str(tmp_path), "--output", str(tmp_path / "killed"),
        "--metric", "rougeL_recall", "--metric", "ls",
        "--set", "evaluation.batch_size=1", "--set", "evaluation.max_new_tokens=60",
    ]  # fmt: skip
    parts = tmp_path / "killed" / "parts" / "generation.jsonl"
    process = Command(command)
    process.kill_when(lambda: parts.is_file() and parts.read_bytes().count(b"\n") >= 2)
    assert not (tmp_path / "killed" / "metrics.json").exists()
    settings = load_config(
        None,
        ["evaluation.batch_size=1", "evaluation.max_new_tokens=60"],
        {"model.name": str(tiny_model), "evaluation.suite": "relearn"},
    )
    for output in ("killed", "clean"):
        evaluate_named(settings, [str(tmp_path)], ["rougeL_recall", "ls"], tmp_path / output)
    for name in ("rows.jsonl", "metrics.json", "intervals.json"):
        assert (tmp_path / "killed" / name).read_text() == (tmp_path / "clean" / name).read_text()


def test_sets_that_ask_the_same_are_refused_before_anything_is_asked(
    tiny_model: Path, tmp_path: Path
) -> None:
    for name in ("retain", "retain_unseen"):
        row = {"question": "What is tea?", "answer": "A drink."}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    settings = load_config(None, [], {"model.name": str(tiny_model), "evaluation.suite": "custom"})
    data = [f"{name}={tmp_path / name}.jsonl" for name in ("retain", "retain_unseen")]
    with pytest.raises(UserError, match="retain and retain_unseen sets ask the same"):
        evaluate_named(settings, data, ["rougeL_recall"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
