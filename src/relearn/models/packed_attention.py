"""Attention among rows that lie one behind the other in a single sequence, without padding.

Everything but attention treats each token by itself, so there rows need no padding, and a prefix
that all rows begin with (a chat template's system message) is computed once. For attention alone
the rows are laid out as a padded batch, each with the prefix's keys and values before its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from relearn.data.row_layout import RowLayout
from relearn.models.recomputation import made_again

NAME = "relearn_packed"
BLOCK = 128


class _ToRows(torch.autograd.Function):
    """(tokens, ...) to (rows * longest, ...); what stands in the padding is never read."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, layout: RowLayout) -> Tensor:
        ctx.layout = layout
        return tokens.index_select(0, layout.to_rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.index_select(0, ctx.layout.from_rows), None


class _FromRows(torch.autograd.Function):
    """The other way; the gradient of the padding is 0."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, layout: RowLayout) -> Tensor:
        ctx.layout = layout
        return rows.index_select(0, layout.from_rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        layout = ctx.layout
        grad_rows = grad.new_zeros(len(layout.to_rows), *grad.shape[1:])
        return grad_rows.index_copy_(0, layout.from_rows, grad), None


class _Softmax(torch.autograd.Function):
    """Over the last dimension in float32, as in the plain model; in the type of the scores.

    On a CPU the softmax of 16-bit numbers takes three times as long. Of long rows the weights are
    the largest activation of all; they are made again from queries and keys.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
        weights = made_again(_softmax(scores), _weights, q, k, mask)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (weights,) = ctx.saved_tensors
        by_scores = torch.ops.aten._softmax_backward_data(grad, weights, -1, weights.dtype)
        return by_scores, None, None, None


def _softmax(scores: Tensor) -> Tensor:
    return scores.float().softmax(-1).to(scores.dtype)


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    row_layout: RowLayout,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend within rows; an attention function in the sense of transformers.

    Args:
        module: The attention layer.
        query: (1, heads, tokens, size).
        key: (1, key heads, tokens, size).
        value: (1, key heads, tokens, size).
        attention_mask: None; the layout says it all.
        row_layout: Where the rows lie.
        scaling: Of the scores; None for 1 / sqrt(size).
        dropout: Of the attention's weights.
        sliding_window: How far back a token sees; None for all.

    Returns:
        (1, tokens, heads, size), and None.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q = _rows(query, row_layout)
    k, v = (_with_prefix(states, row_layout) for states in (key, value))
    window = sliding_window if sliding_window and sliding_window < k.shape[2] else None
    mask = row_layout.mask(window, query.dtype)
    if query.device.type == "cpu":
        out = _attend_in_blocks(q, k, v, mask, scale, dropout if module.training else 0.0)
    else:
        out = scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale, enable_gqa=True
        )
    return _FromRows.apply(out.transpose(1, 2).flatten(0, 1), row_layout)[None], None


def _attend_in_blocks(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, dropout: float
) -> Tensor:
    """Attend by blocks of queries, none of which looks at the keys behind it.

    Of long rows that is half the work, on tensors that stay in the caches: at 512 tokens a third
    of the time.
    """
    prefix = k.shape[2] - q.shape[2]
    blocks = []
    for start in range(0, q.shape[2], BLOCK):
        queries = slice(start, start + BLOCK)
        keys = slice(prefix + start + BLOCK)
        part = mask[:, :, queries, keys]
        blocks.append(_attend(q[:, :, queries], k[:, :, keys], v[:, :, keys], part, scale, dropout))
    return torch.cat(blocks, dim=2) if len(blocks) > 1 else blocks[0]


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, dropout: float) -> Tensor:
    """Plain attention: on a CPU its backward pass is several times faster than the fused one's."""
    rows, heads, length, size = q.shape
    groups = heads // k.shape[1]  # query heads that share a key head
    # Under autocast values come in its type, and the rotated queries and keys do not. Converted
    # here, since what is made again in the backward pass is made without autocast.
    q = (q.reshape(rows * k.shape[1], groups * length, size) * scale).to(v.dtype)
    k, v = k.flatten(0, 1).to(v.dtype), v.flatten(0, 1)
    weights = _Softmax.apply(_scores(q, k, mask), q.detach(), k.detach(), mask)
    weights = torch.nn.functional.dropout(weights, dropout, dropout > 0)
    return (weights.view(len(k), groups * length, -1) @ v).view(rows, heads, length, size)


def _scores(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    scores = q @ k.transpose(1, 2)
    return scores.view(len(mask), -1, *mask.shape[2:]).add_(mask)


def _weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return _softmax(_scores(q, k, mask))


def _rows(states: Tensor, layout: RowLayout) -> Tensor:
    """Lay (1, heads, tokens, size) out as (rows, heads, longest, size)."""
    taken = _ToRows.apply(states[0].transpose(0, 1), layout)
    return taken.view(layout.rows, layout.longest, *taken.shape[1:]).transpose(1, 2)


def _with_prefix(states: Tensor, layout: RowLayout) -> Tensor:
    """Likewise, each row with the prefix before it: (rows, heads, prefix + longest, size)."""
    rows = _rows(states, layout)
    if not layout.prefix:
        return rows
    prefix = states[:, :, : layout.prefix].expand(layout.rows, -1, -1, -1)  # sums gradients
    return torch.cat([prefix, rows], dim=2)


def can_pack(model: PreTrainedModel) -> bool:
    """Tell whether attention functions can be chosen in `model` at all."""
    return bool(getattr(model, "_supports_attention_backend", False))


@contextmanager
def packing(model: PreTrainedModel) -> Iterator[None]:
    """Let `model` attend by `row_layout`, a keyword of its forward pass, while this lasts."""
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)
