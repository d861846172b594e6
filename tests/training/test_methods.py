"""Ways to train: peft's relatives of LoRA, all weights, checkpointed activations; going wrong."""

import math
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import PreTrainedModel

from helpers.trainings import CONFIG, examples
from relearn.base.errors import UserError
from relearn.base.storage import read_jsonl
from relearn.config import LoraConfig, ModelConfig, TrainingConfig
from relearn.data.tokenization import PromptFormat
from relearn.models.adapters import merge_adapter
from relearn.models.loading import check_quantization, load_model
from relearn.training.divergence import Divergence
from relearn.training.engine import train
from relearn.training.trainer import ObjectiveTrainer

SETTINGS = {
    "epochs": 3,
    "batch_size": 4,
    "gradient_accumulation": 1,
    "learning_rate": 1e-2,
    "warmup_ratio": 0,
    "lora": LoraConfig(rank=4, dropout=0),
}


def trained(
    model: PreTrainedModel, prompt_format: PromptFormat, output: Path, **settings: object
) -> tuple[PreTrainedModel | PeftModel, list[dict[str, float]]]:
    forget, retain = (examples(prompt_format, 4, word) for word in ("secret", "public"))
    config = TrainingConfig(**(SETTINGS | settings))
    policy = train(model, prompt_format.tokenizer, forget, retain, config, output, seed=0)
    return policy, read_jsonl(output / "history.jsonl")


@pytest.fixture
def model(tiny_model: Path) -> PreTrainedModel:
    return load_model(tiny_model, CONFIG)


@pytest.mark.parametrize(
    "options",
    [{"use_rslora": True}, {"use_dora": True}, {"lora_bias": True}, {"init_lora_weights": "olora"}],
    ids=str,
)
def test_relatives_of_lora_train(
    model: PreTrainedModel, prompt_format: PromptFormat, tmp_path: Path, options: dict[str, object]
) -> None:
    lora = LoraConfig(rank=4, dropout=0, options=options)
    _, history = trained(model, prompt_format, tmp_path / "out", lora=lora)
    assert history[-1]["loss"] < history[0]["loss"]


def test_unknown_option_of_peft(
    model: PreTrainedModel, prompt_format: PromptFormat, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="use_magic"):
        trained(
            model, prompt_format, tmp_path / "out", lora=LoraConfig(options={"use_magic": True})
        )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_full_fine_tuning_with_a_reference(
    tiny_model: Path, prompt_format: PromptFormat, tmp_path: Path, dtype: str
) -> None:
    """The KL starts at zero and grows, as the reference stays what the model was."""
    config = ModelConfig(dtype=dtype)
    _, history = trained(
        load_model(tiny_model, config),
        prompt_format,
        tmp_path / "out",
        method="full",
        learning_rate=1e-3,
    )
    assert history[0]["retain_kl"] == pytest.approx(0, abs=1e-3)
    assert history[-1]["retain_kl"] > 10 * abs(history[0]["retain_kl"])
    assert history[-1]["loss"] < history[0]["loss"]
    after = merge_adapter(load_model(tiny_model, config), tmp_path / "out")
    before = load_model(tiny_model, config)
    assert after.dtype == before.dtype
    for a, b in zip(after.parameters(), before.parameters(), strict=True):
        assert a.dim() == 1 or not torch.equal(a, b)  # a norm's 1 may not move in 16 bits


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_scale_multiplies_what_training_changed(
    tiny_model: Path, prompt_format: PromptFormat, tmp_path: Path, method: str, dtype: str
) -> None:
    config = ModelConfig(dtype=dtype)
    before = load_model(tiny_model, config).state_dict()
    changes = []
    for scale in (1.0, -0.5):
        output = tmp_path / str(scale)
        lora = LoraConfig(rank=4, dropout=0, scale=scale)
        trained(
            load_model(tiny_model, config), prompt_format, output, method=method, lora=lora,
            objective="sft", learning_rate=1e-2,
        )  # fmt: skip
        after = merge_adapter(load_model(tiny_model, config), output).state_dict()
        changes.append({name: after[name].float() - w.float() for name, w in before.items()})
    moved = 0
    for name, change in changes[0].items():
        # The type's rounding, of the weight before and after.
        rounding = torch.finfo(before[name].dtype).eps * before[name].float().abs().max()
        torch.testing.assert_close(
            changes[1][name], -0.5 * change, rtol=1e-3, atol=2 * float(rounding)
        )
        moved += bool((changes[1][name].abs() > 4 * rounding).any())
    assert moved >= 14


@pytest.mark.parametrize("method", ["lora", "full"])
def test_gradient_checkpointing_changes_nothing(
    tiny_model: Path, prompt_format: PromptFormat, tmp_path: Path, method: str
) -> None:
    """And the adapter is really trained."""
    weights = []
    for name, on in (("plain", False), ("checkpointed", True)):
        output = tmp_path / name
        _, history = trained(
            load_model(tiny_model, CONFIG), prompt_format, output, method=method,
            gradient_checkpointing=on, learning_rate=1e-3,
        )  # fmt: skip
        assert history[-1]["loss"] < history[0]["loss"]
        (file,) = output.glob("*.safetensors")
        weights.append(load_file(file))
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("objective", ["relearn", "undial"])
def test_packing_changes_no_loss(
    tiny_model: Path, prompt_format: PromptFormat, tmp_path: Path, objective: str
) -> None:
    losses = []
    for packing in (True, False):
        _, history = trained(
            load_model(tiny_model, CONFIG), prompt_format, tmp_path / str(packing),
            objective=objective, packing=packing, retain_regularizer="ce+kl",
        )  # fmt: skip
        losses.append([row["loss"] for row in history])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_evaluations_and_trackers(
    model: PreTrainedModel, prompt_format: PromptFormat, tmp_path: Path
) -> None:
    _, history = trained(
        model, prompt_format, tmp_path / "out", objective="relearn", evaluation_steps=1
    )
    evaluations = read_jsonl(tmp_path / "out" / "evaluations.jsonl")
    assert [row["step"] for row in evaluations] == [1, 2, 3]
    assert evaluations[-1]["eval_forget_ce"] < evaluations[0]["eval_forget_ce"]
    # The next step's training loss is on the same rows, with the same weights.
    assert evaluations[0]["eval_retain_ce"] == pytest.approx(history[1]["retain_ce"], rel=1e-4)


def test_training_that_explodes_stops_and_says_what_to_change(
    model: PreTrainedModel,
    prompt_format: PromptFormat,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    low = partial(Divergence, factor=1.01)  # so small a model can't go far
    monkeypatch.setattr("relearn.training.trainer.Divergence", low)
    _, history = trained(model, prompt_format, tmp_path / "out", objective="ga", epochs=50)
    assert 1 < len(history) < 50
    assert "learning_rate" in history[-1]["stopped"]


def test_divergence_by_loss_and_perplexity() -> None:
    seen = Divergence(vocabulary=1000)
    assert seen.seen_in({"loss": 2.0, "step": 1}, 1.0) is None
    assert "loss" in seen.seen_in({"loss": -250.0, "step": 2}, 1.0)
    assert "perplexity" in seen.seen_in({"loss": 2.0, "step": 3}, math.log(1000) + 1.1)
    with pytest.raises(UserError, match="retain_kl"):
        seen.seen_in({"loss": math.nan, "step": 4, "retain_kl": math.inf}, 1.0)


def test_quantization_without_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match="bitsandbytes"):
        check_quantization()


def test_killed_amid_an_epoch_with_dropout_it_ends_with_the_same_weights(
    tiny_model: Path, prompt_format: PromptFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step of two epochs, each of which ends with a step of fewer micro-batches."""
    settings = SETTINGS | {
        "epochs": 2, "batch_size": 1, "gradient_accumulation": 2, "checkpoint_steps": 1,
        "lora": LoraConfig(rank=4, dropout=0.2), "learning_rate": 1e-3,
    }  # fmt: skip
    forget, retain = (examples(prompt_format, 5, word) for word in ("secret", "public"))

    def run(output: Path) -> dict[str, torch.Tensor]:
        model = load_model(tiny_model, CONFIG)
        train(
            model, prompt_format.tokenizer, forget, retain, TrainingConfig(**settings), output,
            seed=0,
        )  # fmt: skip
        return load_file(output / "adapter_model.safetensors")

    whole = run(tmp_path / "whole")
    step = ObjectiveTrainer.training_step
    count = 0

    def dying(self: ObjectiveTrainer, *args: object, **kwargs: object) -> torch.Tensor:
        nonlocal count
        count += 1
        if count % 3 == 0:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(ObjectiveTrainer, "training_step", dying)
    deaths = 0
    while not (tmp_path / "killed").is_dir():
        try:
            killed = run(tmp_path / "killed")
        except KeyboardInterrupt:
            deaths += 1
    assert deaths > 3
    for name, tensor in whole.items():
        assert torch.equal(killed[name], tensor), name
