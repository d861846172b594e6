"""One forward pass whose logits exist only where a label is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def _at_output_head(model: nn.Module, change: Any) -> Iterator[None]:
    """Pass what goes into the output head through `change` while the context lasts."""
    unwrapped: Any = getattr(model, "module", model)
    head = unwrapped.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, inputs: (change(inputs[0]),))
    try:
        yield
    finally:
        handle.remove()


def label_logits(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor,
    keep: Tensor,
    also: Tensor | None = None,
) -> Tensor:
    """Run `model` and return the logits at the kept positions only.

    The selection happens inside the model's own forward, before its output head, so it holds for
    every architecture and under any parallel wrapper, and whatever the model does to its logits
    is done to these.

    Args:
        model: A causal language model of transformers, with or without adapter or wrapper.
        input_ids: (rows, length).
        attention_mask: (rows, length).
        keep: (rows, length) boolean.
        also: (extra, hidden) final hidden states from elsewhere, sent through the same head.

    Returns:
        (kept + extra, vocabulary), rows in order, then `also`.
    """

    def select(hidden: Tensor) -> Tensor:
        kept = hidden[keep]
        return kept if also is None else torch.cat([kept, also.to(kept.dtype)])

    with _at_output_head(model, select):
        return model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits


@torch.no_grad()
def label_hidden_states(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor, keep: Tensor
) -> Tensor:
    """Run `model` and return what its output head would have seen at the kept positions.

    Returns:
        (kept, hidden), rows in order.
    """
    seen: list[Tensor] = []

    def capture(hidden: Tensor) -> Tensor:
        seen.append(hidden[keep])
        return hidden[:, :0]  # no logits at all

    with _at_output_head(model, capture):
        model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
    return seen[0]
