"""An adapter on 4-bit weights; skips where bitsandbytes is not installed."""

from pathlib import Path

import pytest
import torch
from test_engine import CONFIG, examples, prompt_format  # noqa: F401

from relearn.config import LoraConfig, TrainingConfig
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_model
from relearn.storage import read_jsonl
from relearn.training.engine import train

SETTINGS = TrainingConfig(
    method="qlora", epochs=3, batch_size=4, gradient_accumulation=1, learning_rate=1e-2,
    warmup_ratio=0, lora=LoraConfig(rank=4, dropout=0),
)  # fmt: skip


def test_qlora_is_lora_on_the_weights_that_4_bits_stand_for(
    tiny_model: Path,
    prompt_format: PromptFormat,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Against plain LoRA on the dequantized weights, the reference's pass included."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    quantized = load_model(tiny_model, CONFIG, quantized=True)
    plain = load_model(tiny_model, CONFIG)
    layers = 0
    for name, layer in quantized.named_modules():
        if isinstance(layer, bitsandbytes.nn.Linear4bit):
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
    assert curves[0] == pytest.approx(curves[1], rel=2e-2, abs=1e-4)
    assert curves[0][-3] < curves[0][0]
