"""What several prompts begin with is read once, and nothing else changes."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from helpers.tiny_models import random_model, tiny_config
from relearn.inference import reading
from relearn.inference.generation import continuations
from relearn.inference.reading import CachedForward, read

IDS = {"vocab_size": 300, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SYSTEM, STORY, TASK = [7, 40, 41], [90, 91, 92, 93, 94, 95], [*range(150, 158)]
PROMPTS = [
    [*SYSTEM, *STORY, 20, 21, 22],
    [*SYSTEM, *STORY, 30],
    [*SYSTEM, *TASK, 20],
    [*SYSTEM, *TASK, 20, 21, 22],  # one that another begins with
    [*SYSTEM, *TASK, 55, 56],
    [*SYSTEM, 23],
    [9, 8],  # shorter than what is left of the others
    [*SYSTEM, *TASK, 55, 56],
]
SHARING = ["llama", "gpt2", "qwen2", "gemma", "gemma2", "mistral", "bloom", "falcon", "mixtral"]


def plain_logits(model: PreTrainedModel, prompt: list[int]) -> Tensor:
    with torch.inference_mode():
        return model(torch.tensor([prompt]), use_cache=False).logits[0, -1]


def tokens_read(model: PreTrainedModel, seen: list[int]) -> None:
    model.get_input_embeddings().register_forward_pre_hook(
        lambda _, ids: seen.append(ids[0].numel())
    )


@pytest.fixture(autouse=True)
def _tiny_prompts_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PASS", 0)


@pytest.mark.parametrize("family", SHARING)
def test_shared_beginnings_change_no_logits(family: str) -> None:
    model = random_model(tiny_config(family, **IDS))
    forward = CachedForward.of(model)
    assert forward is not None
    seen: list[int] = []
    tokens_read(model, seen)
    with torch.inference_mode():
        logits, _, mask = read(forward, PROMPTS, 0, model.device)
    # What the groups begin with alike, then what each begins with, then every row's last columns.
    assert len(seen) == 3
    assert sum(seen) < mask.numel() / 2
    expected = torch.stack([plain_logits(model, prompt) for prompt in PROMPTS])
    assert torch.allclose(logits, expected, atol=1e-4)
    assert mask.sum(1).tolist() == list(map(len, PROMPTS))
    # Without what they begin with they go on otherwise.
    assert not torch.allclose(plain_logits(model, PROMPTS[1][3:]), expected[1], atol=1e-2)


@pytest.mark.parametrize("family", [*SHARING, "lfm2", "mamba", "recurrent_gemma"])
def test_prompts_go_on_as_those_read_alone(family: str) -> None:
    model = random_model(tiny_config(family, **IDS))
    options = {"max_new_tokens": 6, "pad_token_id": 0}
    together = continuations(model, PROMPTS, **options)
    assert together == [continuations(model, [prompt], **options)[0] for prompt in PROMPTS]
    assert together[0] != together[1]


@pytest.mark.parametrize("family", ["gemma2", "mistral"])
def test_a_beginning_beyond_a_sliding_window_is_read_again(family: str) -> None:
    model = random_model(tiny_config(family, **IDS))
    long = [list(range(100, 140)) + tail for tail in ([5, 6], [8], [9, 10, 11])]
    seen: list[int] = []
    tokens_read(model, seen)
    expected = torch.stack([plain_logits(model, prompt) for prompt in long])
    forward = CachedForward.of(model)
    assert forward is not None
    seen.clear()
    with torch.inference_mode():
        logits, _, mask = read(forward, long, 0, model.device)
    assert seen[-1] == mask.numel()
    assert torch.allclose(logits, expected, atol=1e-4)


def test_nothing_is_shared_where_a_further_pass_costs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PASS", 256)
    model = random_model(tiny_config("llama", **IDS))
    seen: list[int] = []
    tokens_read(model, seen)
    continuations(model, PROMPTS, max_new_tokens=1, pad_token_id=0)
    assert seen == [7 * 14]  # the seven that differ, padded to the longest
