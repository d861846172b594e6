"""TIES merging and task-vector negation against their definitions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.trainings import save_adapter
from relearn.base.errors import UserError
from relearn.config import LoraConfig, ModelConfig
from relearn.models.adapters import add_adapter, merge_adapter, scale_adapter
from relearn.models.loading import load_model
from relearn.models.merging import write_ties

CONFIG = ModelConfig(dtype="float32")


@pytest.fixture
def adapters(tiny_model: Path, tmp_path: Path) -> list[Path]:
    return [
        save_adapter(load_model(tiny_model, CONFIG), tmp_path / f"adapter-{seed}", seed)
        for seed in (1, 2)
    ]


def change(tiny_model: Path, adapter: Path) -> dict[str, np.ndarray]:
    """What the adapter adds to each weight, by merging it."""
    before = dict(load_model(tiny_model, CONFIG).state_dict())
    after = merge_adapter(load_model(tiny_model, CONFIG), adapter).state_dict()
    return {name: (after[name] - weight).cpu().numpy() for name, weight in before.items()}


def ties(changes: list[np.ndarray], density: float) -> np.ndarray:
    """Trim, elect, disjoint mean: section 3 of arXiv 2306.01708, entry by entry."""
    trimmed = []
    for values in changes:
        keep = int(density * values.size)
        smallest = np.argsort(np.abs(values), axis=None)[: values.size - keep]
        flat = values.flatten()
        flat[smallest] = 0
        trimmed.append(flat)
    signs = np.sign(sum(trimmed))
    merged = np.zeros_like(trimmed[0])
    for i, sign in enumerate(signs):
        agreeing = [values[i] for values in trimmed if values[i] * sign > 0]
        merged[i] = sum(agreeing) / len(agreeing) if agreeing else 0
    return merged.reshape(changes[0].shape)


def test_ties_is_its_definition(tiny_model: Path, adapters: list[Path], tmp_path: Path) -> None:
    write_ties(tiny_model, adapters, tmp_path / "merged", CONFIG, density=0.5)
    before = load_model(tiny_model, CONFIG).state_dict()
    after = load_model(tmp_path / "merged", CONFIG).state_dict()
    changes = [change(tiny_model, adapter) for adapter in adapters]
    name = "model.layers.1.mlp.down_proj.weight"
    expected = ties([c[name] for c in changes], 0.5)
    assert np.count_nonzero(expected)
    np.testing.assert_allclose((after[name] - before[name]).cpu().numpy(), expected, atol=1e-5)
    embedding = "model.embed_tokens.weight"
    assert torch.equal(after[embedding], before[embedding])


def test_density_out_of_range(tiny_model: Path, adapters: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="density"):
        write_ties(tiny_model, adapters, tmp_path / "merged", CONFIG, density=0.0)


def test_negation_takes_the_change_away(tiny_model: Path, adapters: list[Path]) -> None:
    policy = add_adapter(load_model(tiny_model, CONFIG), LoraConfig(rank=4))
    policy.load_adapter(str(adapters[0]), adapter_name="default")
    scale_adapter(dict(policy.named_parameters()), -0.5)
    negated = policy.merge_and_unload().state_dict()
    before = load_model(tiny_model, CONFIG).state_dict()
    for name, added in change(tiny_model, adapters[0]).items():
        torch.testing.assert_close(
            (negated[name] - before[name]).cpu(), torch.tensor(-0.5 * added), atol=1e-5, rtol=1e-4
        )
