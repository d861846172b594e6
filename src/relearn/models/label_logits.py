"""One forward pass whose logits exist only where a label is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def output_head(model: nn.Module) -> nn.Module:
    """Return the output head of `model`, with or without adapter or parallel wrapper."""
    unwrapped: Any = getattr(model, "module", model)
    head: nn.Module = unwrapped.get_output_embeddings()
    return head


def has_plain_head(model: nn.Module) -> bool:
    """Tell whether the logits are a linear function of the final hidden states, and no more."""
    unwrapped: Any = getattr(model, "module", model)
    config = unwrapped.config.get_text_config()
    scales = [getattr(config, name, None) for name in ("logit_scale", "logits_scaling")]
    return (
        type(output_head(model)) is nn.Linear
        and getattr(config, "final_logit_softcapping", None) is None
        and all(scale in (None, 1) for scale in scales)
    )


@contextmanager
def replaced_head(model: nn.Module, compute: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let `compute` stand in for the output head's forward pass while this lasts.

    It runs inside the model's own forward pass, and so for every architecture and under any
    parallel wrapper, whose hooks see its result as the model's output.
    """
    head = output_head(model)
    before = vars(head).get("forward")  # an adapter's faster way, where the head has one
    head.forward = compute
    try:
        yield
    finally:
        if before is None:
            del head.forward
        else:
            head.forward = before


def label_logits(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor | None,
    keep: Tensor,
    also: Tensor | None = None,
    **inputs: Any,
) -> Tensor:
    """Run `model` and return the logits at the kept positions only.

    Whatever the model does to its logits is done to these.

    Args:
        model: A causal language model of transformers, with or without adapter or wrapper.
        input_ids: (rows, length).
        attention_mask: (rows, length).
        keep: (rows, length) boolean.
        also: (extra, hidden) final hidden states from elsewhere, sent through the same head.
        **inputs: What else the model is given.

    Returns:
        (kept + extra, vocabulary), rows in order, then `also`.
    """
    forward = output_head(model).forward

    def select(hidden: Tensor) -> Tensor:
        kept = hidden[keep]
        return forward(kept if also is None else torch.cat([kept, also.to(kept.dtype)]))

    with replaced_head(model, select):
        return model(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **inputs
        ).logits


@torch.no_grad()
def label_hidden_states(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor | None, keep: Tensor, **inputs: Any
) -> Tensor:
    """Run `model` and return what its output head would have seen at the kept positions.

    Returns:
        (kept, hidden), rows in order.
    """
    forward = output_head(model).forward
    seen: list[Tensor] = []

    def capture(hidden: Tensor) -> Tensor:
        seen.append(hidden[keep])
        return forward(hidden[:, :0])  # no logits at all

    with replaced_head(model, capture):
        model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **inputs)
    return seen[0]
