"""Adapters on what is not a plain linear layer: the head, fused experts, recurrent blocks."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from helpers.tiny_models import save_tiny
from relearn.base import progress
from relearn.base.errors import UserError
from relearn.config import LoraConfig, ModelConfig, TrainingConfig
from relearn.models.adapters import add_adapter, check_adapter, merge_adapter
from relearn.models.loading import load_blank_model, load_model, load_prompt_format
from relearn.models.merging import write_ties
from relearn.training.engine import train

CONFIG = ModelConfig(dtype="float32")
HEAD = LoraConfig(rank=2, target_modules=["q_proj", "lm_head"])


@pytest.fixture(scope="module", params=["llama", "llama_base"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a head of its own, and one whose head shares the embeddings' weights."""
    return save_tiny(request.param, tmp_path_factory.mktemp("models") / request.param)


def moved(policy: PeftModel) -> PeftModel:
    """Let the adapter change something."""
    torch.manual_seed(0)
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return policy.eval()


def logits(model: PreTrainedModel | PeftModel) -> torch.Tensor:
    with torch.no_grad():
        ids = torch.tensor([[5, 6, 7, 8]], device=model.device)
        result: torch.Tensor = model(ids).logits.cpu()
    return result


def test_head_is_trained_and_merged(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder, CONFIG)
    asked = load_prompt_format(folder, CONFIG)
    rows = [asked.encode(f"Who is {i}?", f"Nobody knows {i}.") for i in range(4)]
    settings = TrainingConfig(epochs=3, learning_rate=1e-2, lora=HEAD, batch_size=2)
    trained = train(model, asked.tokenizer, rows, rows, settings, tmp_path / "adapter", seed=0)
    changed = [n for n, p in trained.named_parameters() if "lm_head.lora_B" in n and p.any()]
    assert changed
    merged = merge_adapter(load_model(folder, CONFIG), tmp_path / "adapter")
    torch.testing.assert_close(logits(merged), logits(trained), rtol=1e-4, atol=1e-5)


def test_merge_into_a_shared_head_leaves_the_embeddings_alone(folder: Path, tmp_path: Path) -> None:
    policy = moved(add_adapter(load_model(folder, CONFIG), HEAD))
    policy.save_pretrained(str(tmp_path / "adapter"))
    merged = merge_adapter(load_model(folder, CONFIG), tmp_path / "adapter")
    merged.save_pretrained(tmp_path / "merged")
    again = load_model(tmp_path / "merged", CONFIG)
    for model in (merged, again):
        torch.testing.assert_close(logits(model), logits(policy), rtol=1e-4, atol=1e-5)
    write_ties(folder, [tmp_path / "adapter"] * 2, tmp_path / "ties", CONFIG, density=1)
    ties = load_model(tmp_path / "ties", CONFIG)
    torch.testing.assert_close(logits(ties), logits(policy), rtol=1e-3, atol=1e-4)


def test_fused_experts_go_with_the_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_told", set())
    folder = save_tiny("mixtral", tmp_path / "mixtral")
    assert LoraConfig().dropout > 0
    check_adapter(load_blank_model(folder, CONFIG), LoraConfig())
    policy = add_adapter(load_model(folder, CONFIG), LoraConfig())
    assert policy.peft_config["default"].lora_dropout == 0
    assert capsys.readouterr().err.count("training.lora.dropout is 0") == 1
    attention = LoraConfig(target_modules=["q_proj"])
    policy = add_adapter(load_model(folder, CONFIG), attention)
    assert policy.peft_config["default"].lora_dropout == attention.dropout


def test_recurrent_blocks_go_with_the_defaults(tmp_path: Path) -> None:
    folder = save_tiny("mamba", tmp_path / "mamba")
    check_adapter(load_blank_model(folder, CONFIG), LoraConfig())
    with pytest.raises(UserError, match="does not go with this model"):
        check_adapter(load_blank_model(folder, CONFIG), LoraConfig(target_modules=["out_proj"]))


def test_module_that_the_model_has_not_is_found_without_weights(folder: Path) -> None:
    with pytest.raises(UserError, match="no_such_proj"):
        check_adapter(load_blank_model(folder, CONFIG), LoraConfig(target_modules=["no_such_proj"]))
