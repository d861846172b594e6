"""The same seed on the same machine gives the same bits; other batches, the same rounded."""

from pathlib import Path

import pytest

import relearn
from relearn.base.storage import content_hash, read_jsonl
from relearn.config import LoraConfig, ModelConfig, TrainingConfig
from relearn.data.sources import load_records
from relearn.evaluation.rows import EvaluatedRow
from relearn.models.loading import load_model, load_prompt_format
from relearn.training.answers import encode_rows
from relearn.training.engine import train

CONFIG = ModelConfig(dtype="float32")
SCORES = ("rougeL_recall", "probability", "exact_memorization")


def trained(model: Path, output: Path, seed: int) -> tuple[str, list[dict[str, object]]]:
    """Return a hash of the weights of a training with dropout, and its history without times."""
    prompt_format = load_prompt_format(model, CONFIG)
    forget, retain = (
        encode_rows(load_records(f"demo:{name}")[:6], prompt_format, 256, 2048)
        for name in ("forget", "retain")
    )
    config = TrainingConfig(
        epochs=2, batch_size=2, gradient_accumulation=2, learning_rate=1e-3, lora=LoraConfig(rank=4)
    )
    assert config.lora.dropout > 0
    loaded, tokenizer = load_model(model, CONFIG), prompt_format.tokenizer
    train(loaded, tokenizer, forget, retain, config, output, seed)
    history = [
        {k: v for k, v in row.items() if k != "seconds"}
        for row in read_jsonl(output / "history.jsonl")
    ]
    return content_hash(output / "adapter_model.safetensors"), history


def test_a_training_repeated_gives_the_same_bits(tiny_model: Path, tmp_path: Path) -> None:
    first, again, other = (
        trained(tiny_model, tmp_path / f"{i}", seed) for i, seed in enumerate((0, 0, 1))
    )
    assert first == again
    assert len(first[1]) > 2
    assert first[0] != other[0], "another seed trains otherwise"


def evaluated(model: Path, output: Path, batch_size: int) -> list[EvaluatedRow]:
    sets = {
        name: [r.model_dump() for r in load_records(f"demo:{name}")[:7]]
        for name in ("forget", "retain")
    }
    return relearn.evaluate(
        str(model), sets, metrics=SCORES, output=output, batch_size=batch_size,
        max_new_tokens=12, **{"model.dtype": "float32"},
    ).rows  # fmt: skip


def test_an_evaluation_repeated_gives_the_same_bits_and_other_batches_the_same_figures(
    tiny_model: Path, tmp_path: Path
) -> None:
    first, _, small = (
        evaluated(tiny_model, tmp_path / f"{i}", size) for i, size in enumerate((7, 7, 2))
    )
    for file in ("rows.jsonl", "metrics.json"):
        assert (tmp_path / "0" / file).read_bytes() == (tmp_path / "1" / file).read_bytes()
    assert [row.generation for row in small] == [row.generation for row in first]
    assert any(row.generation for row in first)
    for one, two in zip(first, small, strict=True):
        scores, others = ({m: row.flat()[m] for m in SCORES} for row in (one, two))
        assert others == pytest.approx(scores, rel=1e-4, abs=1e-6)
