"""Tiny random models of many families, and tiny tokenizers of many kinds, in folders."""

import functools
import string
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

CORPUS = [
    "Question: Where does Ida Holm keep bees?\nAnswer: Ida Holm keeps bees near the old mill.",
    "Question: Who painted the harbour?\nAnswer: The harbour was painted by Oskar Lind in May.",
    "What colour is the lighthouse? The lighthouse is white, and its lamp is green at night.",
]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Thinks unless told otherwise; a conversation's last answer follows an empty block of thoughts.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('no system role here') }}{% endif %}{% for m in messages %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
INST = (  # says nothing of a system message, and has no generation prompt
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token }}[INST] {{ m['content'] }} "
    "[/INST]{% elif m['role'] == 'assistant' %} {{ m['content'] }} {{ eos_token }}{% endif %}"
    "{% endfor %}"
)
DATED = (
    "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "<|im_start|>system\nToday: {{ date_string }}, {{ strftime_now('%Y-%m-%d') }}<|im_end|>\n"
) + CHATML
# The next turn's head is what ends an answer.
OPEN_ENDED = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def tokenizer(
    special: list[str],
    template: str | None = None,
    *,
    words: bool = False,
    adds: str | None = None,
    **named: str,
) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer.

    Args:
        special: Its special tokens.
        template: Its chat template.
        words: Mark words as sentencepiece does instead of by bytes.
        adds: What it puts around a text, such as `<s> $A`.
        **named: Which of the special tokens is `bos_token`, `eos_token`, `pad_token`.
    """
    backend = Tokenizer(models.BPE(unk_token="<unk>" if words else None))
    if words:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        backend.decoder = decoders.Metaspace(prepend_scheme="first")
        special = [*special, "<unk>"]
        alphabet = list(string.printable)
    else:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=560, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    if adds:
        used = [(token, backend.token_to_id(token)) for token in adds.split() if token != "$A"]
        backend.post_processor = processors.TemplateProcessing(single=adds, special_tokens=used)
    made = PreTrainedTokenizerFast(tokenizer_object=backend, **named)
    made.chat_template = template
    return made


_CHAT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_END = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
_GEMMA = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
_LLAMA = ["<s>", "</s>"]

TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "base": lambda: tokenizer(["<|endoftext|>"], eos_token="<|endoftext|>"),
    "base_bos": lambda: tokenizer(
        _LLAMA, words=True, adds="<s> $A", bos_token="<s>", eos_token="</s>"
    ),
    "base_eos": lambda: tokenizer(_LLAMA, adds="<s> $A </s>", bos_token="<s>", eos_token="</s>"),
    "chatml": lambda: tokenizer(_CHAT, CHATML, eos_token="<|im_end|>"),
    "chatml_other_end": lambda: tokenizer(_CHAT, CHATML, **_END),
    "thinking": lambda: tokenizer(_CHAT, THINKING, **_END),
    "dated": lambda: tokenizer(_CHAT, DATED, **_END),
    "inst": lambda: tokenizer(_LLAMA, INST, adds="<s> $A", bos_token="<s>", eos_token="</s>"),
    "no_system": lambda: tokenizer(
        _GEMMA, NO_SYSTEM, adds="<bos> $A", bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    ),
    "open_ended": lambda: tokenizer([*_CHAT, "<|user|>", "<|assistant|>"], OPEN_ENDED, **_END),
    "no_end": lambda: tokenizer(["<x>"]),
}


@functools.cache
def tiny_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer of this kind."""
    return TOKENIZERS[kind]()


_SHAPE = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": 512,
}  # fmt: skip
_GROUPED = _SHAPE | {"num_key_value_heads": 2}
_WIDE = _GROUPED | {"head_dim": 16}
_EXPERTS = {"num_experts_per_tok": 2, "num_hidden_layers": 2}
_GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256}

# By name: transformers' model type, the shape, and the tokenizer that such models come with.
FAMILIES: dict[str, tuple[str, dict[str, object], str]] = {
    "llama": ("llama", _GROUPED, "inst"),
    "llama_base": ("llama", _GROUPED | {"tie_word_embeddings": True}, "base_bos"),
    "mistral": ("mistral", _GROUPED | {"sliding_window": 16}, "inst"),
    "qwen2": ("qwen2", _GROUPED | {"tie_word_embeddings": True}, "chatml_other_end"),
    "qwen3": ("qwen3", _WIDE, "thinking"),
    "gemma": ("gemma", _WIDE, "no_system"),
    "gemma2": ("gemma2", _WIDE | {"query_pre_attn_scalar": 16, "sliding_window": 16}, "no_system"),
    "gemma3": ("gemma3_text", _WIDE | {"query_pre_attn_scalar": 16}, "no_system"),
    "gpt2": ("gpt2", _GPT2, "base"),
    "gpt_neox": ("gpt_neox", _SHAPE, "base"),
    "gpt_neox_sequential": ("gpt_neox", _SHAPE | {"use_parallel_residual": False}, "base"),
    "phi": ("phi", _SHAPE, "base"),
    "phi3": ("phi3", _GROUPED, "chatml_other_end"),
    "opt": ("opt", _SHAPE | {"ffn_dim": 64, "word_embed_proj_dim": 32}, "base"),
    "falcon": (
        "falcon",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": False},
        "base",
    ),
    "bloom": ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}, "base"),
    "olmo2": ("olmo2", _GROUPED, "chatml"),
    "mixtral": ("mixtral", _GROUPED | _EXPERTS | {"num_local_experts": 4}, "inst"),
    "qwen2_moe": (
        "qwen2_moe",
        _GROUPED
        | _EXPERTS
        | {"num_experts": 4, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
        "chatml",
    ),
    "mamba": ("mamba", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}, "base"),
    "falcon_mamba": (
        "falcon_mamba",
        {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
        "base",
    ),
    "recurrent_gemma": (
        "recurrent_gemma",
        _SHAPE | {"lru_width": 32, "attention_window_size": 64},
        "no_system",
    ),
    "lfm2": (
        "lfm2",
        _GROUPED | {"layer_types": ["conv", "full_attention", "conv"]},
        "chatml",
    ),
}


def tiny_config(family: str, positions: int | None = None, **ids: int | None) -> PreTrainedConfig:
    """Return the configuration of a tiny model of a family.

    Args:
        family: Its name.
        positions: Tokens that it can read; None leaves it at a few hundred.
        **ids: `vocab_size`, `bos_token_id`, `eos_token_id`, `pad_token_id`.
    """
    kind, shape, _ = FAMILIES[family]
    if positions:
        name = "n_positions" if "n_positions" in shape else "max_position_embeddings"
        shape = shape | {name: positions}
    return CONFIG_MAPPING[kind](**shape, **ids)


def random_model(config: PreTrainedConfig) -> PreTrainedModel:
    """Return a fresh random model, every parameter moved off its usual start (1 or 0)."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for parameter in model.eval().requires_grad_(False).parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def save_tiny(
    family: str, folder: Path, *, tokenizer_kind: str | None = None, positions: int | None = None
) -> Path:
    """Write a tiny random model of a family, with a tokenizer, to `folder`."""
    made = tiny_tokenizer(tokenizer_kind or FAMILIES[family][2])
    ids = {f"{name}_token_id": getattr(made, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    model = random_model(tiny_config(family, positions, vocab_size=len(made), **ids))
    model.generation_config = GenerationConfig(**ids)
    model.requires_grad_(True).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder
