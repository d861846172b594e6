"""Models that can't be used: one line each, before anything is computed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    LlamaForSequenceClassification,
    LlamaModel,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from helpers.tiny_models import save_tiny, tiny_tokenizer
from relearn.base.errors import UserError
from relearn.config import ModelConfig
from relearn.models.loading import (
    best_device,
    load_blank_model,
    load_model,
    load_tokenizer,
    model_folder,
)

CONFIG = ModelConfig()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "copy"))


def changed(folder: Path, **fields: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def weights(folder: Path) -> Path:
    return folder / "model.safetensors"


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (lambda f: weights(f).write_bytes(weights(f).read_bytes()[:-4000]), "can't be load"),
    "empty": (lambda f: weights(f).write_bytes(b""), "can't be loaded"),
    "a pointer": (lambda f: weights(f).write_text("version https://git-lfs.github.com/spec/v1\n"),
                  "can't be loaded"),
    "no weights": (lambda f: weights(f).unlink(), "can't be loaded"),
    "other shapes": (lambda f: changed(f, hidden_size=64), "other shapes"),
    "too few": (lambda f: changed(f, num_hidden_layers=4), "lacks 9 of its weights"),
    "no JSON": (lambda f: (f / "config.json").write_text("{no"), "can't be loaded"),
    "unknown family": (lambda f: changed(f, model_type="zzz"), "can't be loaded"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_model(copy: Path, damage: str) -> None:
    """Found with the weights and without."""
    spoil, message = DAMAGES[damage]
    load_blank_model(copy, CONFIG)  # the control
    spoil(copy)
    for load in (load_blank_model, load_model):
        with pytest.raises(UserError, match=message) as caught:
            load(copy, CONFIG)
        assert "\n" not in str(caught.value)


SMALL = {"vocab_size": 300, "d_model": 16}
BART = {f"{part}_{what}": 1 for part in ("encoder", "decoder") for what in ("layers", "ffn_dim")}
OTHERS: dict[str, Callable[[], PreTrainedModel]] = {
    "T5": lambda: T5ForConditionalGeneration(T5Config(**SMALL, d_ff=16, num_layers=1, num_heads=2)),
    "Bart": lambda: BartForConditionalGeneration(BartConfig(**SMALL, **BART)),
    "BertForMaskedLM": lambda: BertForMaskedLM(
        BertConfig(vocab_size=300, hidden_size=24, num_hidden_layers=1, intermediate_size=16)
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_model_that_continues_no_prompt(kind: str, tmp_path: Path) -> None:
    OTHERS[kind]().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=f"is {kind}.*decoder-only"):
        load_blank_model(tmp_path, CONFIG)


def test_model_without_the_head_of_a_language_model(llama: Path, tmp_path: Path) -> None:
    whole = AutoModelForCausalLM.from_pretrained(llama)
    LlamaForSequenceClassification(whole.config).save_pretrained(tmp_path / "classes")
    with pytest.raises(UserError, match="LlamaForSequenceClassification"):
        load_blank_model(tmp_path / "classes", CONFIG)
    LlamaModel(whole.config).save_pretrained(tmp_path / "bare")
    with pytest.raises(UserError, match=r"such as lm_head\.weight"):
        load_blank_model(tmp_path / "bare", CONFIG)


@pytest.mark.parametrize("spoil", ["missing", "empty", "no JSON"])
def test_model_without_a_tokenizer(copy: Path, spoil: str) -> None:
    load_tokenizer(copy, CONFIG)  # the control
    if spoil == "missing":
        for file in [*copy.glob("*token*"), *copy.glob("*.jinja")]:
            file.unlink()
    else:
        (copy / "tokenizer.json").write_text("{}" if spoil == "empty" else "{no")
    with pytest.raises(UserError, match="tokenizer files of its base model"):
        load_tokenizer(copy, CONFIG)


def with_adapter(base: Path, folder: Path) -> PeftModel:
    """Write an adapter that changes what the model says, and return both."""
    model = AutoModelForCausalLM.from_pretrained(base)
    options = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    policy = get_peft_model(model, options)
    policy.save_pretrained(str(folder))
    return policy.eval()


def test_adapter_is_taken_as_a_model(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path / "cache"))
    policy = with_adapter(llama, tmp_path / "adapter").to(best_device())
    folder = model_folder(str(tmp_path / "adapter"))
    assert folder == model_folder(str(tmp_path / "adapter"))  # merged once
    merged = load_model(folder, CONFIG)
    ids = torch.tensor([[5, 6, 7, 8]], device=merged.device)
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, policy(ids).logits, rtol=1e-4, atol=1e-5)
        base = load_model(llama, CONFIG)(ids).logits
    assert (base - policy(ids).logits).abs().max() > 0.01
    assert load_tokenizer(folder, CONFIG).chat_template == tiny_tokenizer("inst").chat_template


def test_adapter_whose_base_is_gone(copy: Path, tmp_path: Path) -> None:
    with_adapter(copy, tmp_path / "adapter")
    shutil.rmtree(copy)
    with pytest.raises(UserError, match=r"LoRA adapter of .*copy.*Merge it"):
        model_folder(str(tmp_path / "adapter"))


def test_adapter_of_another_model(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path / "cache"))
    other = save_tiny("gpt2", tmp_path / "gpt2")
    with_adapter(llama, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(file.read_text().replace(str(llama), str(other)))
    with pytest.raises(UserError, match="can't be merged"):
        model_folder(str(tmp_path / "adapter"))
    assert not [f for f in (tmp_path / "cache" / "merged").iterdir() if f.is_dir()]
