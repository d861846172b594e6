"""The functions of the package do what the commands do, on files and on what is in memory."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from datasets import Dataset, IterableDataset
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

import relearn
from helpers.hub import Hub
from helpers.sample_run import write_sample_run
from helpers.small_files import write_demo_records
from helpers.trainings import CONFIG
from relearn.base.notebook import html_table
from relearn.base.storage import read_json, read_jsonl
from relearn.cli import app
from relearn.finished_run import FinishedRun
from relearn.models.loading import load_model, load_tokenizer, model_folder

SETTINGS: dict[str, Any] = {
    "epochs": 1, "lora": {"rank": 2}, "learning_rate": 1e-2, "batch_size": 1,
    "synthesis": {"variants": 0, "generic_ratio": 0}, "evaluation": {"max_new_tokens": 4},
    "audit": {"attacks": ["question"]},
}  # fmt: skip
OVERRIDES = [
    "training.epochs=1", "training.lora.rank=2", "training.learning_rate=1e-2",
    "training.batch_size=1",
    "synthesis.variants=0", "synthesis.generic_ratio=0", "evaluation.max_new_tokens=4",
    "audit.attacks=[question]",
]  # fmt: skip


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_demo_records(folder, 4)
    return folder


@pytest.fixture(scope="module")
def run(sets: Path, tiny_model: Path) -> FinishedRun:
    """A run on a model, a list of dicts and a data set that are in memory."""
    return relearn.unlearn(
        load_model(tiny_model, CONFIG), read_jsonl(sets / "forget.jsonl"),
        Dataset.from_list(read_jsonl(sets / "retain.jsonl")), output=sets / "run", **SETTINGS,
    )  # fmt: skip


def command(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


# The package


def test_importing_the_package_imports_nothing_that_takes_time() -> None:
    code = "import sys, relearn; print(*(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "relearn" in loaded
    assert not loaded & {"torch", "transformers", "peft", "datasets", "pydantic", "spacy", "numpy"}


def test_every_public_name_is_there_with_a_docstring() -> None:
    assert set(relearn.__all__) <= set(dir(relearn))
    for name in relearn.__all__:
        assert inspect.getdoc(getattr(relearn, name)), name
    with pytest.raises(AttributeError, match="no attribute 'unlern'"):
        relearn.unlern  # noqa: B018


# unlearn


def test_what_is_in_memory_gives_what_the_command_gives_on_files(
    run: FinishedRun, sets: Path, tiny_model: Path
) -> None:
    """Model and sets from files, in another folder, by the command line."""
    overrides = [x for each in OVERRIDES for x in ("--set", each)]
    command(
        "run", "--model", str(tiny_model), "--forget", str(sets / "forget.jsonl"),
        "--retain", str(sets / "retain.jsonl"), "--output", str(sets / "command"), *overrides,
    )  # fmt: skip
    theirs = read_json(sets / "command" / "summary.json")
    assert run.metrics == pytest.approx(theirs["unlearned"])
    assert run.metrics_of("target") == pytest.approx(theirs["target"])
    assert len(run.metrics) > 10
    entry = read_json(run.path / "manifest.json")["data"]["retain"]
    assert entry["source"] == "Dataset given in Python"
    assert run.config.data.forget == "list given in Python"


def test_the_same_call_takes_up_the_run_and_other_data_are_refused(
    run: FinishedRun, sets: Path, tiny_model: Path
) -> None:
    stages = read_json(run.path / "manifest.json")["stages"]
    model, forget = load_model(tiny_model, CONFIG), read_jsonl(sets / "forget.jsonl")
    retain = Dataset.from_list(read_jsonl(sets / "retain.jsonl"))
    again = relearn.unlearn(model, forget, retain, output=run.path, **SETTINGS)
    assert read_json(run.path / "manifest.json")["stages"] == stages
    assert again.metrics == run.metrics
    with pytest.raises(relearn.UserError, match="with other forget data"):
        relearn.unlearn(model, forget[:3], retain, output=run.path, **SETTINGS)


def test_what_is_refused_leaves_nothing(sets: Path, tiny_model: Path, tmp_path: Path) -> None:
    model, forget = load_model(tiny_model, CONFIG), read_jsonl(sets / "forget.jsonl")
    output = tmp_path / "out"

    def refused(match: str, *sets: Any, **settings: Any) -> None:
        with pytest.raises(relearn.UserError, match=match):
            relearn.unlearn(model, *sets, output=output, **settings)
        assert not output.exists()

    refused("there is no retain set", forget)
    refused(
        "the retain set row 1 field 'answer' is missing",
        forget,
        [{"question": "Q?", "answer": None}],
    )
    refused("ask the same in 4 records", forget, forget)
    refused("there is no setting 'epoch'. Did you mean 'epochs'", forget, forget, epoch=1)
    refused("field 'training.epochs'", forget, forget, epochs=-1)
    refused("no objective is called 'npoo'", forget, "demo:retain", objective="npoo")


def test_a_temporary_run_folder_is_private_and_goes_with_the_result(
    sets: Path, tiny_model: Path
) -> None:
    stream = IterableDataset.from_generator(lambda: iter(read_jsonl(sets / "retain.jsonl")))
    found = relearn.unlearn(
        tiny_model, sets / "forget.jsonl", stream, objective="grad_diff", epochs=1,
        evaluation=SETTINGS["evaluation"], audit=None,
    )  # fmt: skip
    path = found.path
    assert path.stat().st_mode & 0o077 == 0
    assert found.config.training.objective == "grad_diff"
    assert found.report().parent == path
    del found
    assert not path.exists()


# A finished run


def test_a_run_is_saved_and_merged_as_it_computes(run: FinishedRun, tmp_path: Path) -> None:
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        ours = run.model.cpu()(input_ids=ids).logits
        with run.model.disable_adapter():
            target = run.model(input_ids=ids).logits
        merged = AutoModelForCausalLM.from_pretrained(run.merge(tmp_path / "merged"))
        theirs = merged(input_ids=ids).logits
    torch.testing.assert_close(theirs, ours)
    assert not torch.allclose(target, ours)
    saved = run.save(tmp_path / "saved")
    names = {file.name for file in saved.iterdir()}
    assert {"adapter_model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not [name for name in names if name.endswith(".jsonl")]
    with pytest.raises(relearn.UserError, match="already used"):
        run.merge(tmp_path / "saved")
    with pytest.raises(relearn.UserError, match="no model 'mine'"):
        run.metrics_of("mine")


def test_what_is_pushed_is_the_model_and_a_card_without_text(
    run: FinishedRun, sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub() as hub:
        hub.stand_in(monkeypatch)
        place = run.push_to_hub("org/name", private=True, token="t")
        assert place == f"{hub.url}/org/name"
        with pytest.raises(relearn.UserError, match="target model is on no hub"):
            run.push_to_hub("org/name", merged=False, token="t")
        assert len(hub.created) == 1
    assert "private" in {hub.created[0].get("visibility"), *hub.created[0]}
    assert {"model.safetensors", "tokenizer.json", "README.md"} <= hub.files.keys()
    texts = [text for row in read_jsonl(sets / "forget.jsonl") for text in row.values()]
    for name, content in hub.files.items():
        assert not [text for text in texts if text.encode() in content], name
        assert str(sets).encode() not in content, name


def test_push_is_the_command_and_private_unless_told_otherwise(
    run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "t")
    with Hub() as hub:
        hub.stand_in(monkeypatch)
        assert f"pushed to {hub.url}/org/name" in command("push", str(run.path), "org/name")
        command("push", str(run.path), "org/open", "--public")
    assert {"model.safetensors", "tokenizer.json", "README.md", "config.json"} <= hub.files.keys()
    assert not [name for name in hub.files if name.endswith((".jsonl", ".html", ".parquet"))]
    asked = [made.get("visibility", made.get("private")) for made in hub.created]
    assert asked in (["private", "public"], [True, False])


def test_an_adapter_whose_target_is_on_a_hub_is_pushed_alone(
    run: FinishedRun, sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FinishedRun, "_hub_target", lambda self: "org/target")
    (run.path / "training" / "unlearned" / "notes.csv").write_text("a private note")
    with Hub() as hub:
        hub.stand_in(monkeypatch)
        run.push_to_hub("org/name", merged=False, token="t")
    assert {"adapter_model.safetensors", "adapter_config.json", "README.md"} <= hub.files.keys()
    assert not {"model.safetensors", "notes.csv", "history.jsonl"} & hub.files.keys()
    assert json.loads(hub.files["adapter_config.json"])["base_model_name_or_path"] == "org/target"
    assert not [n for n, content in hub.files.items() if str(sets).encode() in content]


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("org/name", 403, "answers HTTP 403 for org/name.*HF_TOKEN"),
        ("org/name", 401, "HTTP 401|asks for a token"),
        ("a/b/c", None, "is no repository's name"),
        ("org/name", 0, "can't be reached"),
    ],
)
def test_what_a_hub_refuses_is_said_before_a_model_is_merged(
    name: str, status: int | None, words: str, run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_merge(*_: object) -> None:
        raise AssertionError("merged")

    monkeypatch.setattr(FinishedRun, "merge", no_merge)
    with Hub() as hub:
        hub.stand_in(monkeypatch)
        hub.refuses = status
        if status == 0:
            monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(relearn.UserError, match=words):
            run.push_to_hub(name, token="t")
    assert not hub.files


def test_a_gguf_file_is_merged_with_what_ollama_needs(run: FinishedRun, tmp_path: Path) -> None:
    folder = tmp_path / "file"
    command("merge", str(run.path), "--format", "gguf", "--output", str(folder))
    assert {f.name for f in folder.iterdir()} == {"model-f16.gguf", "Modelfile", "README.md"}
    assert "FROM ./model-f16.gguf" in (folder / "Modelfile").read_text()
    # Under such a name every command takes the file, the audit too.
    loaded = load_model(model_folder(str(folder / "model-f16.gguf")), CONFIG)
    ids = torch.arange(10, 20)[None]
    with torch.no_grad():
        theirs, ours = loaded(input_ids=ids).logits, run.model(input_ids=ids).logits
    torch.testing.assert_close(theirs.float(), ours.float(), atol=2e-2, rtol=2e-2)
    with pytest.raises(relearn.UserError, match="already used"):
        run.export_gguf(folder)
    with pytest.raises(relearn.UserError, match="llama-quantize"):
        run.export_gguf(tmp_path / "other", "q4_k_m")
    assert not (tmp_path / "other").exists()


def test_a_run_is_shown_with_everything_escaped(tmp_path: Path) -> None:
    found = relearn.load_run(finished(write_sample_run(tmp_path / "run")))
    page = found._repr_html_()
    assert found.verdict in page
    assert "<td>forget: forgotten (KFR)</td><td>0.040</td><td>0.917</td>" in page
    assert repr(found) == f"FinishedRun({str(found.path)!r}): {found.verdict}"
    hostile = html_table("<script>", ["<b>"], [["<img src=x>"]])
    assert "<script>" not in hostile
    assert "<img" not in hostile
    assert "<b>" not in hostile
    with pytest.raises(relearn.UserError, match="is not a finished run"):
        relearn.load_run(tmp_path)


def finished(folder: Path) -> Path:
    (folder / "summary.json").write_text("{}")
    return folder


# One stage alone


def test_synthesize_is_the_command(sets: Path, tmp_path: Path) -> None:
    forget = read_jsonl(sets / "forget.jsonl")
    found = relearn.synthesize(forget, variants=1, generic_ratio=0)
    options = ["--set", "synthesis.variants=1", "--set", "synthesis.generic_ratio=0"]
    command(
        "synthesize", "--forget", str(sets / "forget.jsonl"), "--output", str(tmp_path / "out"),
        *options,
    )  # fmt: skip
    written = read_jsonl(tmp_path / "out" / "augmented.jsonl")
    ours = [(row.question, row.answer) for row in found.augmented]
    assert ours == [(row["question"], row["answer"]) for row in written]
    assert len({row.source_id for row in found.accepted}) == 4


def test_evaluate_is_the_command(sets: Path, tiny_model: Path, tmp_path: Path) -> None:
    names = ("forget", "retain")
    metrics, tokens = ["rougeL_recall", "ls"], {"max_new_tokens": 4}
    found = relearn.evaluate(
        load_model(tiny_model, CONFIG), {n: read_jsonl(sets / f"{n}.jsonl") for n in names},
        tokenizer=load_tokenizer(tiny_model, CONFIG), metrics=metrics, **tokens,
    )  # fmt: skip
    command(
        "evaluate", "--model", str(tiny_model), "--output", str(tmp_path / "out"),
        "--set", "evaluation.max_new_tokens=4",
        *(x for m in metrics for x in ("--metric", m)),
        *(x for n in names for x in ("--data", f"{n}={sets / n}.jsonl")),
    )  # fmt: skip
    assert found.metrics == pytest.approx(read_json(tmp_path / "out" / "metrics.json"))
    assert [row.set for row in found.rows] == ["forget"] * 4 + ["retain"] * 4
    assert "forget/rougeL_recall" in found.intervals
    assert "<td>forget/ls</td>" in found._repr_html_()
    with pytest.raises(relearn.UserError, match="either generations or a model"):
        relearn.evaluate()
    with pytest.raises(relearn.UserError, match="no set is called 'forgot'"):
        relearn.evaluate(tiny_model, {"forgot": []})  # type: ignore[dict-item]


def test_audit_is_the_command_and_the_package_of_that_name(
    run: FinishedRun, sets: Path, tiny_model: Path, tmp_path: Path
) -> None:
    forget = sets / "forget.jsonl"
    models = {"target": load_model(tiny_model, CONFIG), "mine": run.model}
    found = relearn.audit(
        models=models, forget=read_jsonl(forget), attacks=["question", "prefix"],
        options={"prefix": {"kept": [1]}}, tokenizer=load_tokenizer(tiny_model, CONFIG),
    )  # fmt: skip
    merged = run.merge(tmp_path / "merged")
    command(
        "audit", "--models", f"target={tiny_model}", "--models", f"mine={merged}",
        "--forget", str(forget), "--attack", "question", "--attack", "prefix",
        "--option", "prefix.kept=[1]", "--output", str(tmp_path / "audit"),
    )  # fmt: skip
    theirs = read_json(tmp_path / "audit" / "summary.json")
    assert found.summary["models"] == theirs["models"]
    assert {row["variant"] for row in found.attempts("prefix")} == {"k=1", "k=private"}
    assert found.crossed({"worst": 0.5}) == []
    with pytest.raises(relearn.UserError, match="that attack is not made"):
        found.crossed({"sampling": 0.5})
    assert "<td>prefix</td><td>0%</td><td>0%</td>" in found._repr_html_()
    # Of a run, with the knobs of its own audit.
    again = relearn.audit(run.path, attacks=["question"], output=tmp_path / "again")
    assert set(again.rates) == {"target", "unlearned"}
    from relearn.audit.base import ATTACKS

    assert "question" in ATTACKS
    with pytest.raises(relearn.UserError, match="either a run folder or models"):
        relearn.audit()
