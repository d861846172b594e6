"""Mistakes that are found before anything is computed, sent or written."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from helpers.small_files import mounted
from relearn.base.errors import UserError
from relearn.base.storage import check_writable
from relearn.config import LoraConfig, ModelConfig, RunConfig, TrainingConfig, load_config
from relearn.data.records import Record, RecordSets
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_model, load_tokenizer
from relearn.run import run
from relearn.run_folder import RunFolder
from relearn.stages import Stages
from relearn.training import checks
from relearn.training.checks import check_memory
from relearn.training.engine import train

SETS = {
    "forget": [Record(id="f", question="Who is Ida Berg?", answer="A nurse in Oslo.")],
    "retain": [Record(id="r", question="Who is Leo Falk?", answer="A cook in Kiel.")],
}


def configured(model: Path, settings: Mapping[str, Any]) -> RunConfig:
    return load_config(named={"model.name": str(model), **settings})


def preflight(config: RunConfig, sets: RecordSets, output: Path) -> None:
    Stages(config, sets, RunFolder(output, config, {})).preflight()


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_right_passes_and_leaves_nothing(tmp_path: Path, tiny_model: Path) -> None:
    preflight(configured(tiny_model, {}), SETS, tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"synthesis.backend": "no"}, ["synthesis backend", "rules"]),
        ({"synthesis.backend": "openai"}, ["OPENAI_API_KEY"]),
        ({"synthesis.prompts": "no-such-folder"}, ["synthesis.prompts"]),
        ({"synthesis.generic": "no-such.jsonl"}, ["no-such.jsonl"]),
        ({"evaluation.suite": "no"}, ["suite", "relearn"]),
        ({"evaluation.entailment": "no-such-judge"}, ["no-such-judge"]),
        ({"evaluation.similarity": "no-such-embedder"}, ["no-such-embedder"]),
        ({"evaluation.entities": "no"}, ["spacy"]),
        ({"evaluation.entities": "llm"}, ["OPENAI_API_KEY"]),
        ({"evaluation.perplexity_model": "no-such-model"}, ["no-such-model"]),
        ({"training.objective": "no"}, ["objective", "npo"]),
        ({"training.objective_options.beta": 1}, ["beta"]),
        (
            {"training.objective": "npo", "training.objective_options.beta": "x"},
            ["training.objective_options.beta", "number above 0"],
        ),
        (
            {"training.wrapper": "sure", "training.wrapper_options.percentile": 101},
            ["training.wrapper_options.percentile", "101"],
        ),
        (
            {"baselines.a.objective": "npo", "baselines.a.endings": 2},
            ["baselines.a.endings", "npo learns no new answers"],
        ),
        ({"training.optimizer": "adamw"}, ["training.optimizer", "adamw_torch_fused"]),
        # Only what comes from torch's own extension for TPUs.
        ({"training.optimizer": "adamw_torch_xla"}, ["can't be used here", "torch_xla"]),
        ({"training.scheduler": "cosin"}, ["training.scheduler", "Did you mean 'cosine'"]),
        ({"memorize.scheduler": "reduce_lr_on_plateau"}, ["memorize.scheduler", "linear"]),
        ({"training.report_to": ["no"]}, ["report_to"]),
        ({"evaluation.retain_model": "never_saw"}, ["only if it makes its target"]),
        (
            {"audit.attacks": ["question"], "audit.options.prefix.kept": [1]},
            ["options.prefix: that attack is not made", "audit.options={}"],
        ),
        *(
            ({f"baselines.{name}.objective": "ga"}, ["'baselines'", f"{name!r}", "has that name"])
            for name in ("target", "unlearned", "base", "never_saw")
        ),
        ({"baselines": {"a-b": {"objective": "ga"}}}, ["'a-b'", "letters, digits and _"]),
    ],
)
def test_what_is_wrong_is_named_before_the_model_is_looked_for(
    settings: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    """To fetch a model may take minutes."""
    with pytest.raises(UserError) as refused:
        preflight(configured(tmp_path / "not-there", settings), SETS, tmp_path / "run")
    assert all(word in str(refused.value) for word in words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"baselines.a.objective": "rmu", "baselines.a.objective_options.layer": 99},
            ["baselines.a.objective_options.layer", "no layer 99", "0 to 1"],
        ),
        ({"training.lora.target_modules": ["no_proj"]}, ["training.lora", "no_proj"]),
        ({"training.lora.options.use_magic": True}, ["training.lora", "use_magic"]),
        ({"model.name": "no-such-model"}, ["no-such-model"]),
    ],
)
def test_what_does_not_fit_the_model_is_named(
    settings: dict[str, Any], words: list[str], tmp_path: Path, tiny_model: Path
) -> None:
    with pytest.raises(UserError) as refused:
        preflight(configured(tiny_model, settings), SETS, tmp_path / "run")
    assert all(word in str(refused.value) for word in words)
    assert not list(tmp_path.iterdir())


def test_every_schedule_that_is_listed_trains(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(UserError) as refused:
        preflight(configured(tiny_model, {"training.scheduler": "no"}), SETS, tmp_path)
    known = refused.value.hint.removeprefix("Known: ").removesuffix(".").split(", ")
    assert {"linear", "cosine", "constant", "polynomial"} <= set(known)
    for name in known:
        config = TrainingConfig(scheduler=name, epochs=1, warmup_ratio=0, lora=LoraConfig(rank=2))
        prompt_format = PromptFormat(load_tokenizer(tiny_model, ModelConfig()))
        rows = [prompt_format.encode("Who is Ida Berg?", "A nurse in Oslo.")]
        output = tmp_path / name
        model = load_model(tiny_model, ModelConfig())
        train(model, prompt_format.tokenizer, rows, rows, config, output, seed=0)
        assert output.is_dir()


def test_a_key_in_the_environment_is_enough(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    settings = {"synthesis.backend": "openai", "evaluation.entities": "llm"}
    preflight(configured(tiny_model, settings), SETS, tmp_path / "run")


@pytest.mark.parametrize(("method", "each"), [("full", 16), ("lora", 4)])
def test_memory_that_will_not_do(
    method: str, each: int, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Embedding of 49152 x 32; two layers of attention (32 x 96) and MLP (3 x 32 x 64); norms.
    weights = 49152 * 32 * 2 + 2 * (32 * 96 + 3 * 32 * 64 + 64) + 32
    config = configured(tiny_model, {"training.method": method}).training
    monkeypatch.setattr(checks, "_memory_bytes", lambda: weights * each * 1.01)
    check_memory(tiny_model, config)
    monkeypatch.setattr(checks, "_memory_bytes", lambda: weights * each * 0.99)
    with pytest.raises(UserError, match=f"training.method {method} needs"):
        check_memory(tiny_model, config)


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    # A file system that is read-only for everybody, the superuser too.
    with (
        mounted(tmp_path, "ro,size=1m"),
        pytest.raises(UserError, match="is not writable"),
    ):
        check_writable(tmp_path / "run")


def test_a_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="below a file"):
        check_writable(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("objective", "wrong"), [("idk", ()), ("dpo", ()), ("altpo", ("word " * 60,))]
)
def test_an_answer_beside_the_record_s_own_that_is_too_long(
    objective: str, wrong: tuple[str, ...], tmp_path: Path, tiny_model: Path
) -> None:
    """I-don't-know answers, and the records' wrong ones. Synthesis checks those that it writes."""
    record = Record(id="f", question="Who?", answer="A.", wrong_answers=wrong)
    length = len(PromptFormat(load_tokenizer(tiny_model, ModelConfig())).encode("Who?", "A."))
    sets = {"forget": [record], "retain": [record.model_copy(update={"question": "Why?"})]}
    settings = {"baselines.a.objective": objective, "synthesis.generic_ratio": 0}
    for room in (99, 1):
        config = configured(tiny_model, settings | {"baselines.a.max_length": length + room})
        refused = pytest.raises(
            UserError, match=rf"record f has .*{length + 1} that baselines\.a\.max_length allows"
        )
        with refused if room == 1 else nullcontext():
            preflight(config, sets, tmp_path / "run")


def test_an_unseen_set_that_is_trained_on_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    again = [Record(id="u", question="who is \u201cIda Berg\u201d", answer="A nurse.")]
    with pytest.raises(UserError, match=r"forget and forget_unseen .*\(f and u\)"):
        preflight(configured(tiny_model, {}), SETS | {"forget_unseen": again}, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_paraphrases_of_the_forget_set_can_not_be_kept(tmp_path: Path, tiny_model: Path) -> None:
    for name, row in (
        ("forget", {"question": "Who is Ida?", "answer": "A", "paraphrases": ["Who is Leo?"]}),
        ("retain", {"question": "who is leo", "answer": "B"}),
    ):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    sources = {f"data.{name}": str(tmp_path / f"{name}.jsonl") for name in ("forget", "retain")}
    with pytest.raises(UserError, match="retain and forget_unseen sets ask the same"):
        run(configured(tiny_model, sources), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_records_system_message_is_the_run_s(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stages take the model's settings from the configuration that preflight checks."""
    messages = [
        {"role": role, "content": text}
        for role, text in (("system", "Be kind."), ("user", "Who?"), ("assistant", "She."))
    ]
    (tmp_path / "forget.jsonl").write_text(json.dumps({"messages": messages}))
    sources = {"data.forget": str(tmp_path / "forget.jsonl"), "data.retain": "demo:retain"}
    checked: list[RunConfig] = []

    def stop(stages: Stages) -> None:
        checked.append(stages.config)
        raise UserError("far enough")

    monkeypatch.setattr(Stages, "preflight", stop)
    with pytest.raises(UserError, match="far enough"):
        run(configured(tiny_model, sources), tmp_path / "run")
    assert checked[0].model.system == "Be kind."
