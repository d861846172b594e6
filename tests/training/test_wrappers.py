"""SURE and MemFlex: the right part is chosen, and nothing else of the model changes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers.trainings import CONFIG, examples
from relearn.base.errors import UserError
from relearn.base.storage import read_json
from relearn.config import LoraConfig, TrainingConfig
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_model
from relearn.training.engine import train
from relearn.training.wrappers import WRAPPERS


def random_gradients(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (6, 4), "b": (3, 5), "c": (7,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("percentile", [0, 50, 90, 100])
def test_sure_masks_in_the_neurons_with_the_largest_norm(percentile: float) -> None:
    gradients = random_gradients(0)
    masks = WRAPPERS["sure"].masks(gradients, {}, percentile=percentile)
    norms = {
        (name, i): np.sqrt(np.square(row).sum())
        for name, gradient in gradients.items()
        for i, row in enumerate(gradient.numpy())
    }
    chosen = {(name, i) for name, mask in masks.items() for i in np.flatnonzero(mask.numpy())}
    assert len(chosen) == max(1, round(len(norms) * (100 - percentile) / 100))
    left_out = set(norms) - chosen
    assert all(norms[a] > norms[b] for a in chosen for b in left_out)
    assert all(masks[name].dim() == gradients[name].dim() for name in masks)


def test_memflex_masks_in_large_gradients_unlike_those_of_retain() -> None:
    forget = {
        "unlike": torch.tensor([[1.0, 0.0]]),
        "like": torch.tensor([[1.0, 1.0]]),
        "small": torch.tensor([[1e-6, 0.0]]),
    }
    retain = {
        "unlike": torch.tensor([[0.0, 1.0]]),
        "like": torch.tensor([[2.0, 2.0]]),
        "small": torch.tensor([[0.0, 1.0]]),
    }
    masks = WRAPPERS["memflex"].masks(forget, retain)
    assert {name: bool(mask.all()) for name, mask in masks.items()} == {
        "unlike": True, "like": False, "small": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrapper", "options"),
    [("sure", {"percentile": 75}), ("memflex", {"min_gradient": 0.0, "max_similarity": 0.0})],
)
@pytest.mark.parametrize("objective", ["npo", "relearn"])
def test_only_what_is_masked_in_changes(
    tiny_model: Path,
    prompt_format: PromptFormat,
    tmp_path: Path,
    objective: str,
    wrapper: str,
    options: dict[str, float],
) -> None:
    config = TrainingConfig(
        objective=objective,
        wrapper=wrapper,
        wrapper_options=options,
        epochs=2,
        batch_size=2,
        gradient_accumulation=1,
        learning_rate=1e-2,
        lora=LoraConfig(rank=4, dropout=0),
    )
    forget, retain = (examples(prompt_format, 4, word) for word in ("secret", "public"))
    model = load_model(tiny_model, CONFIG)
    train(model, prompt_format.tokenizer, forget, retain, config, tmp_path / "out", seed=0)
    weights = load_file(tmp_path / "out" / "adapter_model.safetensors")
    rows = torch.cat([w.abs().sum(1) for name, w in weights.items() if "lora_B" in name])
    share = read_json(tmp_path / "out" / "localization.json")["trained_share"]
    assert 0 < share < 1
    if wrapper == "sure":
        assert float((rows > 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    else:
        changed = [bool(w.any()) for name, w in weights.items() if "lora_B" in name]
        assert any(changed)
        assert not all(changed)


def test_nothing_to_train_is_an_error(
    tiny_model: Path, prompt_format: PromptFormat, tmp_path: Path
) -> None:
    config = TrainingConfig(
        wrapper="memflex", wrapper_options={"min_gradient": 1e6}, lora=LoraConfig(rank=4)
    )
    rows = examples(prompt_format, 2, "secret")
    with pytest.raises(UserError, match="wrapper_options"):
        train(
            load_model(tiny_model, CONFIG), prompt_format.tokenizer, rows, rows, config,
            tmp_path / "out", seed=0,
        )  # fmt: skip


def test_unknown_option_is_named() -> None:
    with pytest.raises(UserError, match=r"'share'.*percentile"):
        WRAPPERS["sure"].options.check({"share": 1})
