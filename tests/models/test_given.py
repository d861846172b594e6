"""A model in memory is written as it computes, and stays as it is."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from helpers.trainings import CONFIG, randomize_adapter
from relearn.base.errors import UserError
from relearn.models.given import given_name, tokenizer_of
from relearn.models.loading import load_model, load_tokenizer

IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


@torch.no_grad()
def logits(model: PreTrainedModel | PeftModel) -> Tensor:
    result: Tensor = model(input_ids=IDS.to(model.device)).logits.cpu()
    return result


def adapted(tiny_model: Path) -> PeftModel:
    model = load_model(tiny_model, CONFIG)
    policy = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    randomize_adapter(policy)
    return policy.eval()


def test_a_name_is_returned_as_it_is(tmp_path: Path) -> None:
    assert given_name("org/name", None, tmp_path / "model") == "org/name"
    assert given_name(Path("a/b"), None, tmp_path / "model") == "a/b"
    assert not list(tmp_path.iterdir())


def test_adapters_are_merged_in_what_is_written_and_not_in_memory(
    tiny_model: Path, tmp_path: Path
) -> None:
    policy = adapted(tiny_model)
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    name = given_name(policy, load_tokenizer(tiny_model, CONFIG), tmp_path / "model")
    written = AutoModelForCausalLM.from_pretrained(name)
    torch.testing.assert_close(logits(written), logits(policy))
    assert not torch.allclose(logits(written), logits(load_model(tiny_model, CONFIG)))
    assert all(torch.equal(weight, before[key]) for key, weight in policy.state_dict().items())
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_the_same_model_again_is_the_folder_and_another_is_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    model, tokenizer = load_model(tiny_model, CONFIG), load_tokenizer(tiny_model, CONFIG)
    name = given_name(model, tokenizer, tmp_path / "model")
    assert given_name(model, tokenizer, tmp_path / "model") == name
    with pytest.raises(UserError, match="holds another model"):
        given_name(adapted(tiny_model), tokenizer, tmp_path / "model")
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(name)), logits(model))


def test_its_tokenizer_is_found_where_it_comes_from(tiny_model: Path, tmp_path: Path) -> None:
    assert len(tokenizer_of(adapted(tiny_model))) == len(load_tokenizer(tiny_model, CONFIG))
    model = load_model(tiny_model, CONFIG)
    model.name_or_path = ""
    with pytest.raises(UserError, match="without its tokenizer"):
        given_name(model, None, tmp_path / "model")


def test_adapters_without_a_peft_model_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    model = load_model(tiny_model, CONFIG)
    model._hf_peft_config_loaded = True  # what `model.add_adapter` sets
    with pytest.raises(UserError, match="adapters that were added without a PeftModel"):
        given_name(model, None, tmp_path / "model")
