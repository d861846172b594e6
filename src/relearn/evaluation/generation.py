"""Batched greedy generation."""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from relearn.data.tokenization import PromptFormat
from relearn.progress import progress_bar

# Finished rows leave the batch once they are this share of it: moving the others' keys and values
# costs about as much as one more step with them.
_LEAVE = 1 / 8


@torch.inference_mode()
def greedy_continuations(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    pad_token_id: int,
) -> list[list[int]]:
    """Continue one batch of prompts, each with the most probable token until an end token.

    What `model.generate` returns without sampling, but for the rows that are finished, which leave
    the batch, and for what a checkpoint's generation settings add (penalties), which is left out.

    Args:
        model: A causal language model.
        prompts: Token ids, one list a prompt.
        max_new_tokens: Longest continuation.
        pad_token_id: Any token; it is never attended to.

    Returns:
        The new tokens of each prompt, the end token left out.
    """
    ids, mask = _padded_left(prompts, pad_token_id)
    ids, mask = ids.to(model.device), mask.to(model.device)
    ends = _end_tokens(model).to(model.device)
    known = inspect.signature(model.forward).parameters
    cache_name = "cache" if "cache" in known else "past_key_values"
    continuations: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))  # which prompt each row of the batch belongs to
    alive = torch.ones(len(rows), dtype=torch.bool, device=model.device)
    cache = None
    for _ in range(max_new_tokens):
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        also = {"position_ids": positions, "logits_to_keep": 1}
        output = model(
            input_ids=ids,
            attention_mask=mask,
            use_cache=True,
            **{cache_name: cache},
            **{name: value for name, value in also.items() if name in known},
        )
        cache = output.get(cache_name)
        ids = output.logits[:, -1].argmax(-1, keepdim=True)
        alive &= ~torch.isin(ids[:, 0], ends)
        for row, token, lives in zip(rows, ids[:, 0].tolist(), alive.tolist(), strict=True):
            if lives:
                continuations[row].append(token)
        if not alive.any():
            break
        if (~alive).float().mean() >= _LEAVE and hasattr(cache, "batch_select_indices"):
            kept = alive.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            rows = [rows[i] for i in kept.tolist()]
            ids, mask, alive = ids[kept], mask[kept], alive[kept]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
    return continuations


def _padded_left(prompts: Sequence[Sequence[int]], pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Return ids and attention mask, both (rows, longest)."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad_token_id)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(prompt)
        mask[i, width - len(prompt) :] = 1
    return ids, mask


def _end_tokens(model: PreTrainedModel) -> Tensor:
    ends = model.generation_config.eos_token_id if model.generation_config else None
    ends = model.config.get_text_config().eos_token_id if ends is None else ends
    return torch.tensor([] if ends is None else ends, dtype=torch.long).reshape(-1)


def generate_answers(
    model: PreTrainedModel,
    prompt_format: PromptFormat,
    questions: Sequence[str],
    *,
    batch_size: int,
    max_new_tokens: int,
    title: str | None = "generating",
) -> list[str]:
    """Answer `questions` greedily, in batches of prompts of like length.

    Greedy decoding, so that the same model gives the same answers; the paper's code samples at
    temperature 0.7.

    Returns:
        The answers in the order of the questions, without special tokens and outer white space.
    """
    tokenizer = prompt_format.tokenizer
    prompts = [prompt_format.encode_prompt(question) for question in questions]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers = [""] * len(prompts)
    with progress_bar(title) as advance:
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            new = greedy_continuations(
                model,
                [prompts[i] for i in batch],
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
            )
            for i, ids in zip(batch, new, strict=True):
                answers[i] = str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
            advance(start + len(batch), len(order), "")
    return answers
