"""Answers of every kind of model, against plain passes without any cache."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from helpers.tiny_models import random_model, save_tiny, tiny_config
from helpers.trainings import randomize_adapter
from relearn.base.errors import UserError
from relearn.config import LoraConfig, ModelConfig
from relearn.inference import generation
from relearn.inference.generation import continuations, generate_answers
from relearn.models.adapters import add_adapter
from relearn.models.loading import load_model, load_prompt_format

PROMPTS = [[5, 9, 30, 12, 77], [200, 44, 8], [17, 60, 61, 62, 63, 64, 65, 66, 99], [9, 9, 8]]
IDS = {"vocab_size": 300, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def without_cache(model: PreTrainedModel, prompt: list[int], count: int) -> list[int]:
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            token = model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax().item()
            if token == IDS["eos_token_id"]:
                break
            ids.append(int(token))
    return ids[len(prompt) :]


@pytest.mark.parametrize(
    "family",
    ["gpt2", "gemma2", "bloom", "mixtral", "lfm2", "mamba", "falcon_mamba", "recurrent_gemma"],
)
def test_every_kind_of_state_is_handed_on(family: str) -> None:
    model = random_model(tiny_config(family, **IDS))
    expected = [without_cache(model, prompt, 6) for prompt in PROMPTS]
    assert continuations(model, PROMPTS, max_new_tokens=6, pad_token_id=0) == expected
    ends = [expected[0][1]]  # answers end where the format's own end token comes, too
    found = continuations(model, PROMPTS, max_new_tokens=6, pad_token_id=0, end_tokens=ends)
    cut = [row[: row.index(ends[0])] if ends[0] in row else row for row in expected]
    assert found == cut
    assert found[0] != expected[0]


def test_states_are_handed_on_under_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by reading everything again at each token, as for models that hand on nothing."""
    model = random_model(tiny_config("llama", **IDS))
    plain = continuations(model, PROMPTS, max_new_tokens=6, pad_token_id=0)
    policy = add_adapter(model, LoraConfig(rank=4, alpha=64))
    randomize_adapter(policy)
    expected = [without_cache(policy.eval(), prompt, 6) for prompt in PROMPTS]
    monkeypatch.delattr(generation, "_recurrent_continuations")
    assert continuations(policy, PROMPTS, max_new_tokens=6, pad_token_id=0) == expected
    assert expected != plain


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "mixtral"])
def test_the_head_reads_the_last_states_alone(family: str) -> None:
    model = random_model(tiny_config(family, **IDS))
    seen: list[tuple[int, bool]] = []
    head = model.get_output_embeddings()
    head.register_forward_pre_hook(
        lambda _, states: seen.append((states[0].shape[1], states[0].is_contiguous()))
    )
    continuations(model, PROMPTS, max_new_tokens=2, pad_token_id=0)
    assert set(seen) == {(1, True)}
    # As transformers' own number has it: a view into all states.
    seen.clear()
    model(torch.tensor(PROMPTS[::3][:1] * 2), logits_to_keep=1)
    assert seen == [(1, False)]


@pytest.mark.parametrize("family", ["qwen2", "gpt2", "lfm2", "mamba"])
def test_draws_follow_the_model_and_depend_on_no_other_prompt(family: str) -> None:
    model = random_model(tiny_config(family, **IDS))
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(5)  # some tokens are likelier than others
    options = {"max_new_tokens": 3, "pad_token_id": 0}
    prompts = [PROMPTS[1]] * 400 + PROMPTS
    seeds = [*range(400), None, 8, 9, 10]
    found = continuations(model, prompts, seeds, **options)
    with torch.inference_mode():
        expected = model(torch.tensor([PROMPTS[1]])).logits[0, -1].softmax(-1)
    counts = torch.zeros(300)
    for row in found[:400]:
        counts[row[0] if row else IDS["eos_token_id"]] += 1
    # By a uniform draw the left side would be 1 / 300.
    assert torch.dot(counts / 400, expected) == pytest.approx(expected.dot(expected), rel=0.25)
    assert expected.dot(expected) > 3 / 300
    # The same seed and prompt give the same text, alone or among others.
    assert found[8] == found[401]
    alone = continuations(model, [PROMPTS[2]], [9], **options)
    assert alone == found[402:403]
    # One without a seed beside them takes the most probable tokens.
    assert found[400] == continuations(model, [PROMPTS[0]], **options)[0]


def test_question_too_long_for_the_model(tmp_path: Path) -> None:
    folder = save_tiny("gpt2", tmp_path)
    model, made = load_model(folder, ModelConfig()), load_prompt_format(folder, ModelConfig())
    settings = {"batch_size": 2, "title": None}
    short, long = "Who?", "who is " * 200
    assert len(generate_answers(model, made, [short], max_new_tokens=4, **settings)) == 1
    with pytest.raises(UserError, match="the 256 that the model can read") as caught:
        generate_answers(model, made, [short, long], max_new_tokens=4, **settings)
    assert "who is" not in str(caught.value)
