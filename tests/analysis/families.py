"""Tiny random models of every family, with weights large enough that every part matters."""

import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from relearn.analysis.probes import Batch, Probe, batches, shortened
from relearn.data.tokenization import Example

VOCABULARY = 300
_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "attn_implementation": "eager",
}
_GROUPED = _SHAPE | {"num_key_value_heads": 2}
_GEMMA = _GROUPED | {"head_dim": 16}
_GPT2 = {
    "vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64,
    "bos_token_id": 1, "eos_token_id": 2, "attn_implementation": "eager",
}  # fmt: skip

FAMILIES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_GROUPED)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**_GROUPED)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**_GEMMA)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**_GEMMA)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**_GEMMA, query_pre_attn_scalar=16)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**_GEMMA, query_pre_attn_scalar=16)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**_GPT2)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**_SHAPE)),
    "gpt_neox_sequential": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(**_SHAPE, use_parallel_residual=False)
    ),
    "phi": lambda: PhiForCausalLM(PhiConfig(**_SHAPE)),
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**_GROUPED)),
}


def family(name: str) -> PreTrainedModel:
    """Return a fresh random model, every parameter moved off its usual start (1 or 0)."""
    torch.manual_seed(0)
    model = FAMILIES[name]().eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def some_probes(count: int = 3) -> list[Probe]:
    """Return probes of different lengths with two keys each."""
    torch.manual_seed(1)
    probes = []
    for number in range(count):
        prompt = torch.randint(3, VOCABULARY, (5 + number,)).tolist()
        answer = torch.randint(3, VOCABULARY, (7 - number,)).tolist()
        probes.append(
            Probe(
                set="forget" if number % 2 == 0 else "retain",
                id=str(number),
                question="?",
                example=Example(prompt, answer),
                subject=(1, 2),
                related=frozenset(prompt[1:3]),
                candidates=(0, 2, 3),
                keys=(1, 3),
            )
        )
    return probes


def one_batch(probes: list[Probe], one_key: bool = False) -> Batch:
    """Return all probes as one batch."""
    chosen = [shortened(probe) for probe in probes] if one_key else probes
    return next(batches(chosen, len(chosen), 0, torch.device("cpu")))
