"""The Trainer for scripts of one's own: the engine's training, in transformers' shape."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from torch import Tensor
from transformers import HfArgumentParser, Trainer, TrainerCallback, TrainingArguments

import relearn
from helpers.hub import Hub
from helpers.trainings import CONFIG, randomize_adapter
from relearn.base.errors import UserError
from relearn.config import LoraConfig as OurLora
from relearn.config import TrainingConfig
from relearn.data.sources import load_records
from relearn.data.tokenization import PromptFormat
from relearn.models.adapters import add_adapter
from relearn.models.loading import load_model, load_tokenizer
from relearn.training.engine import train
from relearn.training.statistics import ReferenceCache
from relearn.unlearning_trainer import UnlearningTrainer


def pairs(name: str, count: int = 6) -> list[dict[str, str]]:
    records = load_records(f"demo:{name}")[:count]
    return [{"question": record.question, "answer": record.answer} for record in records]


def arguments(output: Path, **options: Any) -> relearn.UnlearningConfig:
    given = {
        "objective": "npo", "num_train_epochs": 2, "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1, "learning_rate": 1e-2, "report_to": "none",
        "disable_tqdm": True,
    }  # fmt: skip
    return relearn.UnlearningConfig(str(output), **given | options)


def trainer_of(model: Any, args: relearn.UnlearningConfig, **options: Any) -> UnlearningTrainer:
    sets = {"forget_dataset": pairs("forget"), "retain_dataset": pairs("retain")}
    return UnlearningTrainer(model, args, **sets | options)


def changed(model: torch.nn.Module, before: Mapping[str, Tensor]) -> set[str]:
    return {n for n, weight in model.state_dict().items() if not torch.equal(weight, before[n])}


@pytest.mark.parametrize("objective", ["npo", "grad_diff", "rmu"])
def test_it_trains_as_the_engine_does(tiny_model: Path, tmp_path: Path, objective: str) -> None:
    """The same model, rows, order and dropout, to the same weights."""
    options = {"steering": 1.0, "alpha": 1.0} if objective == "rmu" else {}
    lora = LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    args = arguments(tmp_path / "theirs", objective=objective, objective_options=options)
    trainer = trainer_of(load_model(tiny_model, CONFIG), args, peft_config=lora)
    trainer.train()

    prompt_format = PromptFormat(load_tokenizer(tiny_model, CONFIG))
    forget, retain = (
        [prompt_format.encode(row["question"], row["answer"]) for row in pairs(name)]
        for name in ("forget", "retain")
    )
    config = TrainingConfig(
        objective=objective, objective_options=options, epochs=2, batch_size=2,
        gradient_accumulation=1, learning_rate=1e-2, lora=OurLora(rank=4, alpha=8, dropout=0.1),
    )  # fmt: skip
    model, tokenizer = load_model(tiny_model, CONFIG), prompt_format.tokenizer
    seed = trainer.args.seed
    ours = train(model, tokenizer, forget, retain, config, tmp_path / "ours", seed)
    expected = ours.state_dict()
    for name, weight in trainer.model.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-5, atol=1e-7)
        if "lora_B" in name:
            assert weight.abs().sum() > 0


def test_all_weights_are_trained_without_an_adapter(tiny_model: Path, tmp_path: Path) -> None:
    model = load_model(tiny_model, CONFIG)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    trainer = trainer_of(model, arguments(tmp_path, objective="grad_diff"))
    assert trainer.model is model
    assert isinstance(trainer, Trainer)
    trainer.train()
    assert "model.layers.0.self_attn.q_proj.weight" in changed(model, before)


def test_the_reference_is_the_model_as_it_was_given_its_adapter_on(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = add_adapter(load_model(tiny_model, CONFIG), OurLora(rank=4, dropout=0))
    randomize_adapter(policy)
    trainer = trainer_of(policy, arguments(tmp_path, packing=False, learning_rate=0.0))
    trainer.train()
    # At a rate of zero NPO's log-ratio is 0 at each step, and its loss 2 / beta * log 2.
    losses = [row["forget_npo"] for row in trainer.state.log_history if "forget_npo" in row]
    assert losses == pytest.approx([20 * torch.tensor(2.0).log().item()] * len(losses), rel=1e-4)
    kept: list[ReferenceCache | None] = []
    other = trainer_of(policy, arguments(tmp_path / "other", packing=False))
    monkeypatch.setattr(other, "_reference", None)
    other.take_references(policy.disable_adapter)  # the control: the base model as the reference
    kept.append(other._reference)
    row = trainer._plan.rows[0]
    assert trainer._reference is not None
    assert kept[0] is not None
    assert not torch.allclose(trainer._reference._hidden[row.index], kept[0]._hidden[row.index])


@pytest.mark.parametrize("every", [1, 2])
def test_logs_are_means_over_the_steps_and_an_objective_follows_each_step(
    tiny_model: Path, tmp_path: Path, every: int
) -> None:
    options = {"dual": 0.1, "retain_bound": 99.0, "dual_step": 0.0005}
    args = arguments(
        tmp_path, objective="pdu", objective_options=options, logging_steps=every, packing=False,
        num_train_epochs=1, learning_rate=1e-5, weight_decay=0.0, per_device_train_batch_size=3,
    )  # fmt: skip
    trainer = trainer_of(load_model(tiny_model, CONFIG), args)
    trainer.train()
    rows = [row for row in trainer.state.log_history if "loss" in row]
    assert len(rows) == 2 // every
    # Two steps, each of which lowers it by dual_step * (99 - CE), CE about that of guessing.
    guessing = torch.tensor(float(trainer.model.config.vocab_size)).log().item()
    assert rows[-1]["dual"] == pytest.approx(0.1 - 2 * 0.0005 * (99 - guessing), abs=1e-3)
    assert rows[-1]["retain_constraint"] == pytest.approx(guessing, abs=0.3)


def test_callbacks_evaluation_checkpoints_and_resuming(tiny_model: Path, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    class Watch(TrainerCallback):
        def on_evaluate(self, *_: Any, metrics: dict[str, float], **__: Any) -> None:
            seen.append(metrics)

    def make(folder: str) -> UnlearningTrainer:
        lora = LoraConfig(r=2, lora_dropout=0.0, target_modules="all-linear")
        args = arguments(
            tmp_path / folder, eval_strategy="steps", eval_steps=2, save_steps=2, max_steps=4
        )
        model = load_model(tiny_model, CONFIG)
        return trainer_of(model, args, callbacks=[Watch()], peft_config=lora)

    trainer = make("out")
    before = trainer.evaluate()
    assert set(before) == {"eval_forget_ce", "eval_retain_ce"}
    trainer.train()
    assert len(seen) == 3
    assert seen[-1]["eval_forget_ce"] > before["eval_forget_ce"]
    resumed = make("out")
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))
    for name, weight in resumed.model.state_dict().items():
        torch.testing.assert_close(weight, trainer.model.state_dict()[name])
    with pytest.raises(UserError, match="evaluates its own sets"):
        trainer.evaluate(eval_dataset=pairs("forget"))


def test_new_answers_are_written_or_given_and_pairs_are_the_users(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = load_model(tiny_model, CONFIG)
    args = arguments(tmp_path, objective="relearn", synthesis={"variants": 0, "generic_ratio": 0})
    written = trainer_of(model, args)
    answers = relearn.synthesize(
        pairs("forget"), retain=pairs("retain"), variants=0, generic_ratio=0, seed=args.seed
    )
    given = trainer_of(model, args, new_answers=answers.augmented)
    assert [row.example for row in written._plan.rows] == [r.example for r in given._plan.rows]
    private = load_tokenizer(tiny_model, CONFIG)(pairs("forget")[0]["answer"])["input_ids"]
    assert all(row.example.answer[:-1] != private for row in written._plan.rows if row.is_forget)

    preferred = [{"prompt": "Who is Ada?", "chosen": "Ask her.", "rejected": "A spy."}]
    columns = {"question": "prompt", "answer": "rejected", "wrong_answers": "chosen"}
    args = arguments(tmp_path, objective="altpo", retain_regularizer="none", columns=columns)
    trainer = trainer_of(model, args, forget_dataset=preferred, retain_dataset=None)
    decode = load_tokenizer(tiny_model, CONFIG).decode
    texts = [decode(r.example.answer, skip_special_tokens=True) for r in trainer._plan.rows]
    assert [text.strip() for text in texts] == ["A spy.", "Ask her."]


def test_what_is_pushed_has_no_text_of_the_data(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub() as hub:
        hub.stand_in(monkeypatch)
        lora = LoraConfig(r=2, target_modules="all-linear")
        args = arguments(tmp_path / "out", hub_model_id="org/name", hub_token="t", max_steps=1)
        trainer = trainer_of(load_model(tiny_model, CONFIG), args, peft_config=lora)
        trainer.train()
        trainer.push_to_hub()
    assert {"adapter_model.safetensors", "README.md"} <= hub.files.keys()
    for row in pairs("forget"):
        for name, content in hub.files.items():
            assert row["answer"].encode() not in content, name


def test_bad_arguments_are_found_before_anything_is_trained(
    tiny_model: Path, tmp_path: Path
) -> None:
    def refused(match: str, **options: Any) -> None:
        own = {k: options.pop(k) for k in ("peft_config", "retain_dataset") if k in options}
        with pytest.raises(UserError, match=match):
            trainer_of(options.pop("model", str(tiny_model)), arguments(tmp_path, **options), **own)

    refused("no objective is called 'npoo'", objective="npoo")
    refused(r"objective_options.*'gamma'", objective_options={"gamma": 1})
    refused("UnlearningConfig.retain_regularizer", retain_regularizer="l2")
    refused(r"UnlearningConfig.columns.frage", columns={"frage": "q"})
    refused("trains on a retain set as well", retain_dataset=None)
    refused("raise training.max_length", max_length=8)
    policy = add_adapter(load_model(tiny_model, CONFIG), OurLora(rank=2))
    refused("has an adapter, and peft_config asks", model=policy, peft_config=LoraConfig())
    frozen = PeftModel.from_pretrained(
        load_model(tiny_model, CONFIG), _saved(policy, tmp_path / "adapter")
    )
    refused("no parameter of the model can be trained", model=frozen)


def _saved(policy: PeftModel, folder: Path) -> Path:
    policy.save_pretrained(str(folder))
    return folder


def test_the_arguments_are_transformers_own_and_come_from_a_command_line(tmp_path: Path) -> None:
    parser = HfArgumentParser(relearn.UnlearningConfig)
    (args,) = parser.parse_args_into_dataclasses(
        ["--output_dir", str(tmp_path), "--objective", "npo", "--learning_rate", "3e-5",
         "--objective_options", json.dumps({"beta": 0.2})]
    )  # fmt: skip
    assert isinstance(args, TrainingArguments)
    assert args.learning_rate == 3e-5
    assert args.training() == TrainingConfig(
        objective="npo", objective_options={"beta": 0.2}, batch_size=4, gradient_accumulation=2
    )
