"""Prompts are read in batches, and what several of them begin with is read once."""

import inspect
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

Prompt = tuple[int, ...]

# Tokens that take as long to read as one more pass takes at least.
_PASS = 256
# Ways to cut a batch that are tried.
_CUTS = 64
# Layers whose whole state is a column of keys and values for each token.
_COLUMNS = (DynamicLayer, DynamicSlidingWindowLayer)


@dataclass(frozen=True)
class CachedForward:
    """Runs a model on tokens beside a cache of those before them.

    Attributes:
        model: A causal language model, without peft's wrapper, which hides what it takes.
        takes: What its forward pass can be given.
        cache_name: Which of that the cache is.
    """

    model: PreTrainedModel
    takes: Collection[str]
    cache_name: str

    @classmethod
    def of(cls, model: PreTrainedModel) -> "CachedForward | None":
        """Return what runs a model; None where it takes no cache, as recurrent ones."""
        takes = inspect.signature(model.forward).parameters
        name = next((name for name in ("cache", "past_key_values") if name in takes), None)
        if name is None or getattr(model, "_is_stateful", False):
            return None
        return cls(model, takes, name)

    def beside(self, cache: Any, mask: Tensor, new: int) -> dict[str, Any]:
        """Return the cache and the positions of new tokens, as the model takes them.

        Args:
            cache: Of the tokens before; None without any.
            mask: (rows, all) of those in the cache and the new ones.
            new: How many columns are new.
        """
        inputs = {self.cache_name: cache}
        if "position_ids" in self.takes:
            inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -new:]
        return inputs

    def __call__(self, ids: Tensor, mask: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Return the (rows, vocabulary) logits of the next tokens, and the cache after `ids`."""
        inputs = self.beside(cache, mask, ids.shape[1])
        if "logits_to_keep" in self.takes:
            # By its place, which copies the last states. A slice of them is not contiguous, and
            # from such torch makes, on a CPU, a copy of the output head for every row of the batch.
            inputs["logits_to_keep"] = torch.tensor([ids.shape[1] - 1], device=ids.device)
        output = self.model(input_ids=ids, attention_mask=mask, use_cache=True, **inputs)
        return output.logits[:, -1], output.get(self.cache_name)


def read(
    forward: CachedForward,
    prompts: Sequence[Sequence[int]],
    pad_token_id: int,
    device: torch.device,
) -> tuple[Tensor, Any, Tensor]:
    """Read one batch of prompts, padded on the left; equal ones are read once.

    Args:
        forward: Runs the model.
        prompts: Token ids, one list a prompt.
        pad_token_id: Any token; it is never attended to.
        device: The model's.

    Returns:
        The (rows, vocabulary) logits of the next tokens, the cache, and the (rows, longest) mask.
    """
    rows = [tuple(prompt) for prompt in prompts]
    distinct = list(dict.fromkeys(rows))
    logits, cache, mask = _read(forward, distinct, pad_token_id, device)
    if len(distinct) == len(rows):
        return logits, cache, mask
    if not rows_can_leave(cache):
        ids, mask = padded_left(rows, pad_token_id, device)
        return *forward(ids, mask, None), mask
    place = {prompt: i for i, prompt in enumerate(distinct)}
    places = torch.tensor([place[row] for row in rows], device=device)
    cache.batch_select_indices(places)
    return logits[places], cache, mask[places]


def rows_can_leave(cache: Any) -> bool:
    """Tell whether rows can be taken out of a cache; not every kind of layer's state knows how."""
    parts = [cache, *getattr(cache, "layers", [])]
    return all(hasattr(part, "batch_select_indices") for part in parts)


def padded_left(
    prompts: Sequence[Sequence[int]], pad_token_id: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return ids and attention mask, both (rows, longest)."""
    width = max(map(len, prompts))
    ids = [[pad_token_id] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _read(
    forward: CachedForward, prompts: Sequence[Prompt], pad_token_id: int, device: torch.device
) -> tuple[Tensor, Any, Tensor]:
    """Read prompts no two of which are equal, what several begin with once."""
    ids, mask = padded_left(prompts, pad_token_id, device)
    last = _least_work(prompts)
    cache = None
    if last < ids.shape[1]:
        cache = read_but_last(forward, prompts, last, pad_token_id, device)
    return *forward(ids if cache is None else ids[:, -last:], mask, cache), mask


def read_but_last(
    forward: CachedForward,
    prompts: Sequence[Prompt],
    last: int,
    pad_token_id: int,
    device: torch.device,
) -> Any:
    """Read one batch of prompts but for its last columns.

    A row's tokens stay side by side, its padding before them: what a model makes of the distance
    between two columns, as for a sliding window, is the same as if all had been read at once.

    Args:
        forward: Runs the model.
        prompts: Token ids, one tuple a prompt.
        last: How many columns of the padded batch are left; fewer than the longest prompt has.
        pad_token_id: Any token; it is never attended to.
        device: The model's.

    Returns:
        The cache of the other columns. None where its layers hold anything else than keys and
        values of every token read, as recurrent ones do, and full sliding windows.
    """
    begun = _beginnings(prompts, last)
    _, cache, mask = _read(forward, begun, pad_token_id, device)
    width = mask.shape[1]
    layers = getattr(cache, "layers", [])
    if not layers or any(
        type(layer) not in _COLUMNS or layer.keys is None or layer.keys.shape[-2] != width
        for layer in layers
    ):
        return None
    # A prompt's beginning may go on in that of another: it is then as much of it as it needs.
    found = [bisect_left(begun, _beginning(prompt, last)) for prompt in prompts]
    rows = torch.tensor(found, device=device)[:, None]
    more = [len(begun[i]) + last - len(p) for i, p in zip(found, prompts, strict=True)]
    columns = torch.arange(width, device=device) - torch.tensor(more, device=device)[:, None]
    columns = columns.clamp(min=0)  # padding
    for layer in layers:
        layer.keys = layer.keys[rows, :, columns].transpose(1, 2)
        layer.values = layer.values[rows, :, columns].transpose(1, 2)
    return cache


def _least_work(prompts: Sequence[Prompt]) -> int:
    """Return how many last columns to read by themselves; all where sharing saves nothing."""
    longest = max(map(len, prompts))
    best, least = longest, len(prompts) * longest
    for last in range(1, longest, ceil(longest / _CUTS)):
        apart = len(prompts) * last + _PASS
        if apart >= least:
            break
        work = apart + len(_beginnings(prompts, last)) * (longest - last)
        if work < least:
            best, least = last, work
    return best


def _beginnings(prompts: Sequence[Prompt], last: int) -> list[Prompt]:
    """Return in order what comes before the last columns, but what another begins with."""
    found = sorted({_beginning(prompt, last) for prompt in prompts})
    return [a for a, b in zip(found, [*found[1:], ()], strict=True) if b[: len(a)] != a]


def _beginning(prompt: Prompt, last: int) -> Prompt:
    return prompt[: max(len(prompt) - last, 0)]
