"""Batched generation, each prompt greedily or by random numbers of its own."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, PreTrainedModel

from relearn.base.errors import UserError
from relearn.data.tokenization import PromptFormat
from relearn.inference.length_batches import in_length_batches
from relearn.inference.reading import CachedForward, read, rows_can_leave
from relearn.models.adapters import adapted
from relearn.models.loading import position_limit

# Finished rows leave the batch once they are this share of it: moving the others' keys and values
# costs about as much as one more step with them.
_LEAVE = 1 / 8


Choose = Callable[[Tensor, Sequence[int], int], Tensor]
"""From (rows, vocabulary) logits, which prompt each row belongs to, and the step, to tokens."""


def continuations(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int | None] = (),
    *,
    max_new_tokens: int,
    pad_token_id: int,
    end_tokens: Sequence[int] = (),
) -> list[list[int]]:
    """Continue one batch of prompts until an end token.

    Greedily, it is what `model.generate` returns without sampling, but for the rows that are
    finished, which leave the batch, and for what a checkpoint's generation settings add
    (penalties), which is left out. Drawn, each token comes from the model's whole distribution at
    temperature 1; each prompt has random numbers of its own, so that its continuation does not
    depend on the prompts beside it (but for the rounding that any batch brings).

    Args:
        model: A causal language model.
        prompts: Token ids, one list a prompt; what several begin with is read once.
        seeds: Of each prompt's random numbers; None takes the most probable token each time, as
            all prompts do where there are no seeds.
        max_new_tokens: Longest continuation.
        pad_token_id: Any token; it is never attended to.
        end_tokens: At which a continuation ends, as at those of the model's generation settings.

    Returns:
        The new tokens of each prompt, the end token left out.
    """
    drawn = {
        row: torch.rand(max_new_tokens, generator=torch.Generator().manual_seed(seed))
        for row, seed in enumerate(seeds)
        if seed is not None
    }

    def choose(logits: Tensor, rows: Sequence[int], step: int) -> Tensor:
        tokens = logits.max(-1).indices  # a fraction of argmax's time on a CPU
        drawing = [place for place, row in enumerate(rows) if row in drawn]
        if drawing:
            cumulative = logits[drawing].float().softmax(-1).cumsum(-1)
            numbers = torch.stack([drawn[rows[place]][step] for place in drawing])
            places = numbers[:, None].to(logits.device) * cumulative[:, -1:]
            found = torch.searchsorted(cumulative, places, right=True)
            tokens[drawing] = found[:, 0].clamp(max=logits.shape[-1] - 1)
        return tokens

    return _continuations(model, prompts, choose, max_new_tokens, pad_token_id, end_tokens)


@torch.inference_mode()
def _continuations(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    choose: Choose,
    max_new_tokens: int,
    pad_token_id: int,
    end_tokens: Sequence[int],
) -> list[list[int]]:
    """Continue one batch of prompts with the tokens that `choose` takes."""
    model = adapted(model)  # peft's wrapper does not tell what the model's forward takes
    _check_positions(model, prompts, max_new_tokens)
    ends = _end_tokens(model, end_tokens).to(model.device)
    forward = CachedForward.of(model)
    if forward is None:
        return _recurrent_continuations(model, prompts, choose, ends, max_new_tokens, pad_token_id)
    continuations: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))  # which prompt each row of the batch belongs to
    alive = torch.ones(len(rows), dtype=torch.bool, device=model.device)
    logits, cache, mask = read(forward, prompts, pad_token_id, model.device)
    for step in range(max_new_tokens):
        ids = choose(logits, rows, step)[:, None]
        alive &= ~torch.isin(ids[:, 0], ends)
        for row, token, lives in zip(rows, ids[:, 0].tolist(), alive.tolist(), strict=True):
            if lives:
                continuations[row].append(token)
        if not alive.any() or step + 1 == max_new_tokens:
            break
        if (~alive).float().mean() >= _LEAVE and rows_can_leave(cache):
            kept = alive.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            rows = [rows[i] for i in kept.tolist()]
            ids, mask, alive = ids[kept], mask[kept], alive[kept]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        logits, cache = forward(ids, mask, cache)
    return continuations


def _check_positions(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], max_new_tokens: int
) -> None:
    limit, longest = position_limit(model.config), max(map(len, prompts))
    if longest + max_new_tokens > limit:
        raise UserError(
            f"a question of {longest} tokens and an answer of up to {max_new_tokens} are more than "
            f"the {limit:.0f} that the model can read.",
            "Shorten the question, or lower evaluation.max_new_tokens.",
        )


def _recurrent_continuations(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    choose: Choose,
    ends: Tensor,
    max_new_tokens: int,
    pad_token_id: int,
) -> list[list[int]]:
    """Continue prompts by transformers' own loop, which knows how each model hands on its state.

    Prompts of one length go together: a state that has read padding is another state.
    """
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        eos_token_id=ends.tolist() or None,
        pad_token_id=pad_token_id,
    )
    by_length: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(i)
    continuations: list[list[int]] = [[] for _ in prompts]
    stops = set(ends.tolist())
    for length, same in by_length.items():
        ids = torch.tensor([list(prompts[i]) for i in same], device=model.device)
        output = model.generate(  # type: ignore[operator]  # untyped in transformers
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=settings,
            logits_processor=[_Chosen(choose, same, length)],
        )
        for i, new in zip(same, output[:, length:].tolist(), strict=True):
            continuations[i] = _until_end(new, stops)
    return continuations


class _Chosen(LogitsProcessor):
    """Leaves the one token that `choose` takes."""

    def __init__(self, choose: Choose, rows: Sequence[int], length: int) -> None:
        self._choose, self._rows, self._length = choose, rows, length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` with every other token at minus infinity; both (rows, vocabulary)."""
        tokens = self._choose(scores, self._rows, input_ids.shape[1] - self._length)
        return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)


def _until_end(tokens: list[int], ends: Collection[int]) -> list[int]:
    """Return the tokens before the first end token."""
    stop = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[:stop]


def _end_tokens(model: PreTrainedModel, also: Sequence[int]) -> Tensor:
    ends = model.generation_config.eos_token_id if model.generation_config else None
    ends = model.config.get_text_config().eos_token_id if ends is None else ends
    own = torch.tensor([] if ends is None else ends, dtype=torch.long).reshape(-1)
    return torch.cat([own, torch.tensor(list(also), dtype=torch.long)])


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
    return continue_prompts(
        model,
        prompt_format,
        [prompt_format.encode_prompt(question) for question in questions],
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        title=title,
    )


def continue_prompts(
    model: PreTrainedModel,
    prompt_format: PromptFormat,
    prompts: Sequence[Sequence[int]],
    *,
    batch_size: int,
    max_new_tokens: int,
    title: str | None,
    seeds: Sequence[int | None] = (),
    shared: bool = False,
) -> list[str]:
    """Continue token ids in batches of like length, and return the new text.

    Greedily, or where a prompt has a seed by drawing; see `continuations`. For `shared` see
    `in_length_batches`.

    Returns:
        The continuations in the order of the prompts, without special tokens and outer white space.
    """
    tokenizer = prompt_format.tokenizer
    options: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "pad_token_id": tokenizer.pad_token_id,
        "end_tokens": prompt_format.end_tokens,
    }

    def answer(batch: list[tuple[Sequence[int], int | None]]) -> list[str]:
        some, seeds = zip(*batch, strict=True)
        new = continuations(model, some, seeds, **options)
        return [str(tokenizer.decode(ids, skip_special_tokens=True)).strip() for ids in new]

    items = list(zip(prompts, seeds or [None] * len(prompts), strict=True))
    return in_length_batches(
        items,
        answer,
        length=lambda item: len(item[0]),
        size=batch_size,
        title=title,
        shared=shared,
    )
