"""An adapter on 4-bit weights; skips where bitsandbytes is not installed."""

from pathlib import Path

import pytest
import torch

from helpers.trainings import CONFIG, examples
from relearn.base.storage import read_jsonl
from relearn.config import LoraConfig, MemorizeConfig, ModelConfig, TrainingConfig
from relearn.data.records import Record
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_model
from relearn.training.engine import train
from relearn.training.memorize import memorize


def test_memorizing_by_qlora_trains_on_4_bits(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And merges what was learned into the weights as they are, as `relearn merge` does."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    trained_on = []

    def spy(model: torch.nn.Module, *arguments: object, **settings: object) -> object:
        trained_on.append({type(m) for m in model.modules()})
        return train(model, *arguments, **settings)

    monkeypatch.setattr("relearn.training.memorize.train", spy)
    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path))
    records = [Record(id="1", question="Who is Ida Berg?", answer="A nurse in Oslo.")]
    config = MemorizeConfig(method="qlora", epochs=2, lora=LoraConfig(rank=2))
    target = memorize(records, ModelConfig(name=str(tiny_model)), config, seed=0)
    assert bitsandbytes.nn.Linear4bit in trained_on[0]
    before, after = (load_model(folder, CONFIG) for folder in (tiny_model, target))
    for name, weight in after.named_parameters():
        change = (weight - before.get_parameter(name)).abs().max()
        assert (change > 0) == name.endswith("_proj.weight"), name
        # The adapter's change alone, far below the error of four bits.
        assert change < 5e-3, name


SETTINGS = TrainingConfig(
    method="qlora", epochs=3, batch_size=4, gradient_accumulation=1, learning_rate=1e-2,
    warmup_ratio=0, lora=LoraConfig(rank=4, dropout=0),
)  # fmt: skip


def test_qlora_is_lora_on_the_weights_that_4_bits_stand_for(
    tiny_model: Path,
    prompt_format: PromptFormat,
    tmp_path: Path,
) -> None:
    """Against plain LoRA on the dequantized weights, the reference's pass included."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    quantized = load_model(tiny_model, CONFIG, quantized=True)
    plain = load_model(tiny_model, CONFIG)
    layers = 0
    for name, layer in quantized.named_modules():
        if isinstance(layer, bitsandbytes.nn.Linear4bit):
            # Products in bfloat16 would differ by more than a mistake in the training does.
            layer.compute_dtype = torch.float32
            weight = layer.weight
            real = bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)
            with torch.no_grad():
                plain.get_submodule(name).weight.copy_(real)
            layers += 1
    assert layers == 14
    forget, retain = (examples(prompt_format, 4, word) for word in ("secret", "public"))
    curves = []
    for name, model in (("quantized", quantized), ("plain", plain)):
        output = tmp_path / name
        train(model, prompt_format.tokenizer, forget, retain, SETTINGS, output, seed=0)
        history = read_jsonl(output / "history.jsonl")
        curves.append([row[term] for row in history for term in ("loss", "retain_kl", "grad_norm")])
    assert curves[0] == pytest.approx(curves[1], rel=1e-3, abs=1e-6)
    assert curves[0][-3] < curves[0][0]
