"""Writing a model folder as one GGUF file, for llama.cpp and what is built on it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from relearn.base.errors import UserError
from relearn.config import ModelConfig
from relearn.models.loading import load_config_of, load_model, load_tokenizer

GgufType = Literal["f16", "q8_0"]
"""Types of the weights that can be written: 16 bits, or 8 with a scale for each 32 of them."""

_ARCHITECTURES = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2}
_FILE_TYPES = {"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
_ELSEWHERE = (
    "Write safetensors, and convert that folder with llama.cpp's convert_hf_to_gguf.py, which "
    "knows more models."
)
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
# llama.cpp's name of how text is cut into words before bytes are merged: by whether each digit
# stands alone, and the pattern at which it is split.
_PRE_TOKENIZERS = {
    (False, None): "gpt-2",
    (True, None): "smollm",
    (False, _QWEN2): "qwen2",
    (False, _QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)): "llama-bpe",
}


def check_gguf(folder: Path, type_: str) -> None:
    """Refuse a model that could not be written as a GGUF file; loads no weights.

    Args:
        folder: Of the model.
        type_: See `GgufType`.

    Raises:
        UserError: the type, the architecture, its position encoding or the tokenizer is none that
            can be written.
    """
    if type_ not in get_args(GgufType):
        raise UserError(
            f"relearn writes GGUF files of the types f16 and q8_0, not {type_}.",
            "Write f16; K-quants such as Q4_K_M need llama.cpp: "
            "llama-quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M",
        )
    config = load_config_of(folder, ModelConfig())
    if config.model_type not in _ARCHITECTURES:
        raise UserError(
            f"relearn writes GGUF files of Llama and Qwen2 models, not of {config.model_type}.",
            _ELSEWHERE,
        )
    rope = (config.rope_parameters or {}).get("rope_type", "default")
    if rope != "default" or getattr(config, "use_sliding_window", False):
        kind = "a sliding window" if rope == "default" else f"positions scaled by {rope!r}"
        raise UserError(f"the model has {kind}, which relearn writes to no GGUF file.", _ELSEWHERE)
    pre_tokenizer(load_tokenizer(folder, ModelConfig()))


def write_gguf(folder: Path, file: Path, type_: GgufType) -> None:
    """Write the model in `folder`, with its tokenizer and chat template, to the GGUF `file`.

    Matrices become `type_`, vectors stay float32; so does llama.cpp's own converter.

    Raises:
        UserError: see `check_gguf`.
    """
    check_gguf(folder, type_)
    model = load_model(folder, ModelConfig())
    tokenizer = load_tokenizer(folder, ModelConfig())
    # Tensors are kept in a file of its own until all are known, not in memory.
    writer = gguf.GGUFWriter(file, model.config.model_type, use_temp_file=True)
    _add_shape(writer, model.config)
    writer.add_file_type(_FILE_TYPES[type_])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_tokenizer(writer, tokenizer, folder, model.config.vocab_size)
    for name, values in _tensors(model):
        kind = _type_of(values, type_)
        data = gguf.quants.quantize(values, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, config: Any) -> None:
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_name("unlearned with relearn")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _tensors(model: PreTrainedModel) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each parameter under GGUF's name, in float32."""
    config = model.config
    names = gguf.get_tensor_name_map(_ARCHITECTURES[config.model_type], config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, values in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue  # a file without an output layer has its embeddings there
        layer = name.split(".")[-2]
        if config.model_type == "llama" and layer in heads:
            values = interleaved(values, heads[layer])
        yield (
            str(names.get_name(name, try_suffixes=(".weight", ".bias"))),
            values.float().cpu().contiguous().numpy(),
        )


def interleaved(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder a query or key projection's rows as GGUF's Llama has them.

    Rotary positions turn pairs of a head's rows. transformers pairs a row of the head's first half
    with one of its second half; GGUF's Llama has the two beside each other.

    Args:
        values: (heads x size of a head, …).
        heads: How many.

    Returns:
        The same shape.
    """
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.transpose(1, 2).reshape(values.shape)


def _type_of(values: np.ndarray, type_: GgufType) -> Type:
    if values.ndim == 1:
        return Type.F32
    fits = values.shape[-1] % gguf.GGML_QUANT_SIZES[Type.Q8_0][0] == 0
    return Type.Q8_0 if type_ == "q8_0" and fits else Type.F16


def _add_tokenizer(
    writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerBase, folder: Path, size: int
) -> None:
    """Add words, merges, special tokens and the chat template.

    Args:
        writer: Of the file.
        tokenizer: Whose words they are.
        folder: Where its files are.
        size: Rows of the embeddings; those beyond the tokenizer's words get a name of their own.
    """
    words = {id_: word for word, id_ in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    types = []
    for id_ in range(size):
        if id_ not in words:
            words[id_] = f"[PAD{id_}]"
            types.append(gguf.TokenType.UNUSED)
        elif id_ in added:
            special = added[id_].special
            types.append(gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED)
        else:
            types.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer(tokenizer))
    writer.add_token_list([words[id_] for id_ in range(size)])
    writer.add_token_types(types)
    special_words = gguf.SpecialVocab(folder, load_merges=True, n_vocab=size)
    ids = tokenizer("a")["input_ids"]
    begins = tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id
    special_words.add_special_token = {"bos": begins, "eos": False}
    # From the tokenizer: gguf before 0.18 does not read the file that transformers 5 writes it to.
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = [{"name": name, "template": text} for name, text in template.items()]
    special_words.chat_template = template
    special_words.add_to_gguf(writer, quiet=True)


def pre_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return llama.cpp's name of how the tokenizer cuts text into words.

    Raises:
        UserError: it is no byte-level BPE, or cuts in a way that has no name here.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    described = json.loads(backend.to_str()) if backend else {}
    steps = described.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    kinds = [step.get("type") for step in steps]
    digits = any(s["type"] == "Digits" and s["individual_digits"] for s in steps if "type" in s)
    patterns = [s["pattern"].get("Regex") for s in steps if s.get("type") == "Split"]
    cut = (digits, patterns[0] if patterns else None)
    known = set(kinds) <= {"Digits", "Split", "ByteLevel"} and len(patterns) < 2
    is_bpe = described.get("model", {}).get("type") == "BPE"
    if not (is_bpe and known and "ByteLevel" in kinds and cut in _PRE_TOKENIZERS):
        raise UserError(
            "the model's tokenizer is none that relearn writes to a GGUF file (byte-level BPE of "
            "SmolLM2, Llama 3, Qwen2 or GPT-2).",
            _ELSEWHERE,
        )
    return _PRE_TOKENIZERS[cut]
