"""Tiny random models of the families that can be analysed, and probes for them."""

import torch
from transformers import PreTrainedModel

from helpers.tiny_models import random_model, tiny_config
from relearn.analysis.probes import Batch, Probe, batches, shortened
from relearn.data.tokenization import Example

VOCABULARY = 300
FAMILIES = (
    "llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "gpt2", "gpt_neox",
    "gpt_neox_sequential", "phi", "phi3",
)  # fmt: skip


def family(name: str) -> PreTrainedModel:
    """Return a fresh random model, every parameter moved off its usual start (1 or 0)."""
    return random_model(
        tiny_config(name, vocab_size=VOCABULARY, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    )


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
