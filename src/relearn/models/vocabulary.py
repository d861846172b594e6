"""What the distribution over the vocabulary says of given tokens, chunk by chunk.

Logits are the largest thing in training: (tokens, vocabulary), several copies. Here they exist for
one chunk of tokens at a time, in the forward pass and, computed anew, in the backward pass.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

Function = Callable[[Tensor, Tensor, Tensor | None], Tensor]

# Logits of one chunk, in elements: 32 MiB in float32: on a CPU 32 MiB in float32, more elsewhere.
CHUNK = {"cpu": 1 << 23}
DEFAULT_CHUNK = 1 << 26


@dataclass(frozen=True)
class Head:
    """The output head.

    Attributes:
        weight: (vocabulary, hidden); None if the "hidden states" are logits already.
        bias: (vocabulary,) or None.
    """

    weight: Tensor | None
    bias: Tensor | None = None

    def to(self, dtype: torch.dtype | None) -> "Head":
        """Return the head in the type that products are made in; None leaves it as it is."""
        return Head(*(None if t is None else t.to(dtype) for t in (self.weight, self.bias)))

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the float32 logits, (n, vocabulary), of `hidden`, (n, hidden); a new tensor."""
        if self.weight is None:
            return hidden.to(torch.float32, copy=True)
        return linear(hidden.to(self.weight.dtype), self.weight, self.bias).float()


@dataclass(frozen=True)
class Wanted:
    """What is asked of each token.

    Attributes:
        targets: (n,) the tokens whose log-probability is asked for.
        reference_hidden: (m, hidden) final hidden states of the reference; None for no reference.
        reference_row: (n,) row of `reference_hidden` for each token, -1 for none.
        kl: (n,) whether KL(reference || policy) is asked for.
        functions: Vocabulary functions by name.
        function_tokens: (n,) whether they are asked for.
        function_reference: Whether they are given the reference.
    """

    targets: Tensor
    reference_hidden: Tensor | None = None
    reference_row: Tensor | None = None
    kl: Tensor | None = None
    functions: Mapping[str, Function] = field(default_factory=dict)
    function_tokens: Tensor | None = None
    function_reference: bool = False


def statistics(hidden: Tensor, head: Head, reference_head: Head, wanted: Wanted) -> Tensor:
    """Return one column for each statistic, differentiable by `hidden` and the head.

    Args:
        hidden: (n, hidden) final hidden states of the policy.
        head: Of the policy.
        reference_head: Of the reference; taken as constant.
        wanted: What is asked for.

    Returns:
        (n, 3 + functions) float32: log-probability of the target; the same of the reference;
        KL(reference || policy); each vocabulary function. NaN where it was not asked for.
    """
    return _Statistics.apply(hidden, head.weight, head.bias, reference_head, wanted)


class _Statistics(torch.autograd.Function):
    """Keeps hidden states for the backward pass, and computes the logits anew from them."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        reference_head: Head,
        wanted: Wanted,
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias)
        device = hidden.device.type
        ctx.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        ctx.wanted, ctx.reference_head = wanted, reference_head.to(ctx.dtype)
        columns = 3 + len(wanted.functions)
        out = hidden.new_full((len(hidden), columns), torch.nan, dtype=torch.float32)
        head, reference_head = Head(weight, bias).to(ctx.dtype), ctx.reference_head
        for part in _chunks(hidden, head, wanted):
            _fill(out[part], _Chunk(part, hidden[part], head, reference_head, wanted))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = ctx.saved_tensors
        head = Head(weight, bias).to(ctx.dtype)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        grad_bias = torch.zeros_like(bias) if ctx.needs_input_grad[2] else None
        for part in _chunks(hidden, head, ctx.wanted):
            chunk = _Chunk(part, hidden[part], head, ctx.reference_head, ctx.wanted)
            by_logits = _logit_gradient(grad[part], chunk)
            if head.weight is None:
                grad_hidden[part] = by_logits
                continue
            by_logits = by_logits.to(head.weight.dtype)
            grad_hidden[part] = by_logits @ head.weight
            if grad_weight is not None:
                grad_weight += by_logits.t() @ hidden[part].to(by_logits.dtype)
            if grad_bias is not None:
                grad_bias += by_logits.sum(0)
        return grad_hidden, grad_weight, grad_bias, None, None


def _chunks(hidden: Tensor, head: Head, wanted: Wanted) -> Iterator[slice]:
    vocabulary = hidden.shape[1] if head.weight is None else head.weight.shape[0]
    size = max(1, CHUNK.get(hidden.device.type, DEFAULT_CHUNK) // vocabulary)
    for start in range(0, len(hidden), size):
        yield slice(start, start + size)


class _Chunk:
    """Logits, and what is wanted, of one chunk of tokens."""

    def __init__(
        self, part: slice, hidden: Tensor, head: Head, reference_head: Head, wanted: Wanted
    ) -> None:
        self.targets = wanted.targets[part]
        self.logits = head.logits(hidden)
        self.log_normalizer = self.logits.logsumexp(-1, keepdim=True)
        self.functions, self.function_reference = wanted.functions, wanted.function_reference
        nothing = torch.zeros_like(self.targets, dtype=torch.bool)
        asked = nothing if wanted.function_tokens is None else wanted.function_tokens[part]
        self.function_tokens = asked if wanted.functions else nothing
        self.referenced = self.kl = nothing
        self.reference: Tensor | None = None
        if wanted.reference_hidden is not None:
            assert wanted.reference_row is not None
            row = wanted.reference_row[part]
            self.referenced = row >= 0
            self.kl = nothing if wanted.kl is None else wanted.kl[part] & self.referenced
            if self.referenced.any():
                states = wanted.reference_hidden[row[self.referenced]]
                logits = reference_head.logits(states)
                self.reference = logits.sub_(logits.logsumexp(-1, keepdim=True))

    def values(self, log_probs: Tensor) -> list[Tensor]:
        """Return the vocabulary functions' values, each (function tokens,)."""
        tokens = self.function_tokens
        reference = self.reference_of(tokens) if self.function_reference else None
        return [f(log_probs, self.targets[tokens], reference) for f in self.functions.values()]

    def reference_of(self, tokens: Tensor) -> Tensor | None:
        """Return the reference's log-probabilities of some of the chunk's tokens."""
        if self.reference is None or not bool(self.referenced[tokens].all()):
            return None
        return self.reference[tokens[self.referenced]]


def _at(values: Tensor, targets: Tensor) -> Tensor:
    return values.gather(1, targets[:, None])[:, 0]


def _fill(out: Tensor, chunk: _Chunk) -> None:
    """Write a chunk's statistics to its rows of the output."""
    normalizer = chunk.log_normalizer[:, 0]
    out[:, 0] = _at(chunk.logits, chunk.targets) - normalizer
    if chunk.reference is not None:
        out[chunk.referenced, 1] = _at(chunk.reference, chunk.targets[chunk.referenced])
    if chunk.kl.any():
        reference = chunk.reference_of(chunk.kl)
        assert reference is not None
        difference = (reference - chunk.logits[chunk.kl]).add_(chunk.log_normalizer[chunk.kl])
        out[chunk.kl, 2] = difference.mul_(reference.exp()).sum(-1)
    tokens = chunk.function_tokens
    if tokens.any():
        log_probs = chunk.logits[tokens] - chunk.log_normalizer[tokens]
        out[tokens, 3:] = torch.stack(chunk.values(log_probs), 1).float()


def _logit_gradient(grad: Tensor, chunk: _Chunk) -> Tensor:
    """Return the gradient by the chunk's logits, (n, vocabulary); the logits are used up.

    With p the policy's and r the reference's probabilities,
    d log p_t / d z = onehot(t) - p and d KL(r || p) / d z = p - r.
    """
    functions = _function_gradient(grad[:, 3:], chunk)
    by_log_prob = grad[:, 0].nan_to_num()
    by_kl = torch.where(chunk.kl, grad[:, 2], 0)
    result = chunk.logits.sub_(chunk.log_normalizer).exp_()
    result.mul_((by_kl - by_log_prob)[:, None])
    result[torch.arange(len(result), device=result.device), chunk.targets] += by_log_prob
    if chunk.kl.any():
        reference = chunk.reference_of(chunk.kl)
        assert reference is not None
        result[chunk.kl] -= reference.exp().mul_(by_kl[chunk.kl, None])
    if functions is not None:
        result[chunk.function_tokens] += functions
    return result


def _function_gradient(grad: Tensor, chunk: _Chunk) -> Tensor | None:
    """Return the vocabulary functions' part of the gradient, by autograd."""
    tokens = chunk.function_tokens
    if not tokens.any():
        return None
    with torch.enable_grad():
        logits = chunk.logits[tokens].detach().requires_grad_()
        values = torch.stack(chunk.values(logits.log_softmax(-1)), 1)
        (result,) = torch.autograd.grad(values, logits, grad[tokens].to(values.dtype))
    return result
