"""Where memory runs out the work goes on in halves, to the same result."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from helpers.trainings import CONFIG, examples
from relearn.base.storage import read_jsonl
from relearn.config import LoraConfig, TrainingConfig
from relearn.data.batching import TrainingRow
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_model
from relearn.training.engine import train
from relearn.training.within_memory import Gradients, halves

ROWS = 3  # as many as "memory" holds


def exhaust_memory() -> None:
    """Ask the allocator for what no machine has: its own error, not one of ours."""
    torch.empty(1 << 55, dtype=torch.uint8)


class FullMemory:
    """Lets a model run out of memory in the first layer's part of a pass over too many rows."""

    def __init__(self, model: PreTrainedModel, backward: bool) -> None:
        self.failures = 0
        self._rows = 0
        model.register_forward_pre_hook(self._begin, with_kwargs=True)
        layer = model.get_submodule("model.layers.0")
        if backward:
            layer.register_full_backward_pre_hook(lambda *_: self._check())
        else:
            layer.register_forward_pre_hook(lambda *_: self._check())

    def _begin(self, _: Any, args: Any, kwargs: dict[str, Any]) -> None:
        layout = kwargs.get("row_layout")
        rows = len(layout.lengths) if layout else len(kwargs["input_ids"])
        self._rows = rows if torch.is_grad_enabled() else 0  # the reference's pass has room

    def _check(self) -> None:
        if self._rows > ROWS:
            self.failures += 1
            exhaust_memory()


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("objective", ["relearn", "relearn_dpo"])
def test_a_training_that_runs_out_of_memory_ends_as_one_that_does_not(
    tiny_model: Path, prompt_format: PromptFormat, tmp_path: Path, objective: str, backward: bool
) -> None:
    config = TrainingConfig(
        objective=objective,
        epochs=2,
        batch_size=4,
        gradient_accumulation=2,
        learning_rate=1e-2,
        packing=False,
        lora=LoraConfig(rank=4, dropout=0),
    )
    forget, chosen, retain = (
        examples(prompt_format, 8, word) for word in ("secret", "vague", "public")
    )
    pairs = chosen if objective == "relearn_dpo" else []
    weights, losses = [], []
    for name, exhausted in (("room", False), ("full", True)):
        model = load_model(tiny_model, CONFIG)
        memory = FullMemory(model, backward) if exhausted else None
        out = tmp_path / name
        train(model, prompt_format.tokenizer, forget, retain, config, out, 0, chosen=pairs)
        weights.append(load_file(out / "adapter_model.safetensors"))
        losses.append([row["loss"] for row in read_jsonl(out / "history.jsonl")])
        assert memory is None or memory.failures > 0
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-3, atol=1e-5)


def test_what_no_half_can_hold_is_an_error(
    model: PreTrainedModel, prompt_format: PromptFormat, tmp_path: Path
) -> None:
    model.register_forward_pre_hook(lambda *_: exhaust_memory())
    config = TrainingConfig(objective="ga", epochs=1, lora=LoraConfig(rank=4), packing=False)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        train(
            model, prompt_format.tokenizer, examples(prompt_format, 3, "secret"), [], config,
            tmp_path / "out", 0,
        )  # fmt: skip


def test_a_chosen_row_stays_beside_its_forget_row(prompt_format: PromptFormat) -> None:
    example = examples(prompt_format, 1, "word")[0]
    rows = [TrainingRow(i, example, True) for i in range(3)]
    rows += [TrainingRow(10 + i, example, False, True) for i in range(3)]
    rows += [TrainingRow(20 + i, example, False) for i in range(2)]
    parted = halves(rows)
    assert parted is not None
    assert sorted(row.index for half in parted for row in half) == [0, 1, 2, 10, 11, 12, 20, 21]
    for half in parted:
        forget = [row.index for row in half if row.is_forget]
        assert [row.index - 10 for row in half if row.is_chosen] == forget
    assert halves([rows[0], rows[3]]) is None


def test_gradients_of_a_whole_model_are_not_copied(model: PreTrainedModel) -> None:
    assert Gradients.kept(model) is not None  # before the first micro-batch there are none
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    assert Gradients.kept(model) is None
    model.requires_grad_(False)
    model.lm_head.requires_grad_()
    kept = Gradients.kept(model)
    assert kept is not None
    model.lm_head.weight.grad += 1
    kept.restore()
    assert torch.equal(model.lm_head.weight.grad, torch.ones_like(model.lm_head.weight))
