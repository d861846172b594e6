"""GGUF files: what is read back, by transformers' own reader, is the model that was written."""

import copy
from pathlib import Path

import gguf
import pytest
import torch
from tokenizers import Regex, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel

from helpers.tiny_models import save_tiny, tiny_tokenizer
from relearn.audit.precision import quantize
from relearn.base.errors import UserError
from relearn.config import ModelConfig, PromptConfig
from relearn.data.tokenization import PromptFormat
from relearn.inference.generation import generate_answers
from relearn.models import gguf_export
from relearn.models.gguf_export import GgufType, check_gguf, write_gguf
from relearn.models.loading import load_model, load_prompt_format
from relearn.models.modelfile import modelfile

QUESTIONS = ["Who is Ida Holm?", "What colour is the lighthouse?", "Where was it painted?"]


def read(file: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    ).eval()  # fmt: skip


def written(folder: Path, type_: GgufType) -> Path:
    file = folder.parent / f"{folder.name}-{type_}.gguf"
    write_gguf(folder, file, type_)
    return file


@torch.no_grad()
def logits(model: PreTrainedModel, folder: Path) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return torch.cat([model(**tokenizer(q, return_tensors="pt")).logits[0] for q in QUESTIONS])


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_file_is_the_model(family: str, tmp_path: Path) -> None:
    folder = save_tiny(family, tmp_path / "model")
    model = load_model(folder, ModelConfig(dtype="float32"))
    ours, theirs = logits(model, folder), logits(read(written(folder, "f16")), folder)
    # Weights of 11 bits, in a model of three layers.
    torch.testing.assert_close(theirs, ours, atol=2e-2, rtol=2e-2)
    assert not torch.equal(theirs, ours)
    assert (theirs.argmax(-1) == ours.argmax(-1)).float().mean() > 0.95


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_eight_bits_are_those_of_the_attack_by_precision(family: str, tmp_path: Path) -> None:
    folder = save_tiny(family, tmp_path / "model")
    file = written(folder, "q8_0")
    rounded = load_model(folder, ModelConfig(dtype="float32"))
    before = logits(rounded, folder)
    quantize(rounded, "q8_0")
    torch.testing.assert_close(logits(read(file), folder), logits(rounded, folder))
    assert not torch.allclose(before, logits(rounded, folder))
    assert file.stat().st_size < written(folder, "f16").stat().st_size


def test_rows_in_another_order_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_export, "interleaved", lambda values, heads: values)
    folder = save_tiny("llama", tmp_path / "model")
    model = load_model(folder, ModelConfig(dtype="float32"))
    theirs = logits(read(written(folder, "f16")), folder)
    assert not torch.allclose(theirs, logits(model, folder), atol=2e-2, rtol=2e-2)


def test_rows_are_interleaved_head_by_head() -> None:
    values = torch.arange(8)  # two heads, each with halves (0 1 | 2 3) and (4 5 | 6 7)
    assert gguf_export.interleaved(values, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_tokenizer_is_read_back(family: str, tmp_path: Path) -> None:
    folder = save_tiny(family, tmp_path / "model")
    file = written(folder, "f16")
    ours = AutoTokenizer.from_pretrained(folder)
    theirs = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    for text in QUESTIONS:
        plain = {"add_special_tokens": False}
        assert theirs(text, **plain)["input_ids"] == ours(text, **plain)["input_ids"]
    assert theirs.chat_template == ours.chat_template
    assert (theirs.bos_token, theirs.eos_token) == (ours.bos_token, ours.eos_token)
    fields = gguf.GGUFReader(file).fields
    begins = ours(QUESTIONS[0])["input_ids"][0] == ours.bos_token_id
    assert fields["tokenizer.ggml.add_bos_token"].contents() == begins
    # transformers' own tokenizer of such models cuts as Qwen2 does, whatever the file says.
    cut = "qwen2" if family == "qwen2" else "gpt-2"
    assert fields["tokenizer.ggml.pre"].contents() == cut


# As in the tokenizer.json of SmolLM2 and Llama 3.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
STEPS = {
    "gpt-2": [],
    "smollm": [pre_tokenizers.Digits(individual_digits=True)],
    "llama-bpe": [pre_tokenizers.Split(Regex(LLAMA3), "isolated")],
}


@pytest.mark.parametrize("name", STEPS)
def test_how_text_is_cut_has_llama_cpps_name(name: str) -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer("chatml"))
    last = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*STEPS[name], last])
    assert gguf_export.pre_tokenizer(tokenizer) == name
    odd = pre_tokenizers.Split(Regex(r"\d"), "isolated")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([odd, last])
    with pytest.raises(UserError, match="byte-level BPE"):
        gguf_export.pre_tokenizer(tokenizer)


def test_the_file_answers_as_the_model_does(tmp_path: Path) -> None:
    folder = save_tiny("llama", tmp_path / "model", tokenizer_kind="chatml")
    file = written(folder, "f16")
    prompts = load_prompt_format(folder, ModelConfig())
    answers = [
        generate_answers(model, prompts, QUESTIONS, batch_size=2, max_new_tokens=8, title=None)
        for model in (load_model(folder, ModelConfig(dtype="float32")), read(file))
    ]
    assert any(answers[0])
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("family", "kind", "type_", "words"),
    [
        ("gemma", None, "f16", "not of gemma"),
        ("gpt2", None, "f16", "not of gpt2"),
        ("llama", "base_bos", "f16", "byte-level BPE"),
        ("llama", None, "q4_k_m", "K-quants such as Q4_K_M need llama.cpp"),
    ],
)
def test_what_cannot_be_written_is_refused(
    family: str, kind: str | None, type_: str, words: str, tmp_path: Path
) -> None:
    folder = save_tiny(family, tmp_path / "model", tokenizer_kind=kind)
    with pytest.raises(UserError, match=words):
        check_gguf(folder, type_)


def test_a_modelfile_asks_as_the_run_did() -> None:
    prompts = PromptFormat(tiny_tokenizer("chatml"), "Be brief.")
    text = modelfile(prompts, "model-f16.gguf")
    assert text.splitlines()[0] == "FROM ./model-f16.gguf"
    template = text.partition('TEMPLATE """')[2].partition('"""')[0]
    asked = template.replace("{{ .Prompt }}", QUESTIONS[0]).replace("{{ .Response }}", "")
    assert asked == prompts.prompt(QUESTIONS[0])
    assert "Be brief." in template
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "PARAMETER temperature 0" in text


def test_the_beginning_is_left_to_ollama() -> None:
    text = modelfile(PromptFormat(tiny_tokenizer("inst")), "m.gguf")
    assert 'TEMPLATE """[INST] {{ .Prompt }} [/INST]' in text


def test_a_prompt_that_a_modelfile_cannot_hold_is_refused() -> None:
    odd = PromptConfig(template='"""{question}""" {answer}')
    with pytest.raises(UserError, match="Modelfile"):
        modelfile(PromptFormat(tiny_tokenizer("chatml"), config=odd), "m.gguf")
