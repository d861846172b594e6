"""What the distribution over the vocabulary says of given tokens, chunk by chunk.

Logits are the largest thing in training: (tokens, vocabulary), several copies. Here they exist for
one chunk of tokens at a time. What the loss will ask of them is mostly known beforehand but for a
factor for each token, so that the gradient by the hidden states is made in the forward pass, while
the logits are there; where it was expected wrongly, they are computed again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

Function = Callable[[Tensor, Tensor, Tensor | None], Tensor]

# Logits of one chunk, in elements: on a CPU 32 MiB in float32, more elsewhere.
CHUNK = {"cpu": 1 << 22}
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
        """Return the float32 logits, (n, vocabulary), of `hidden`, (n, hidden)."""
        if self.weight is None:
            return hidden.float()
        return linear(hidden.to(self.weight.dtype), self.weight, self.bias).float()

    def by_hidden(self, by_logits: Tensor) -> Tensor:
        """Return the gradient by `hidden` that goes with one by the logits."""
        return by_logits if self.weight is None else by_logits.to(self.weight.dtype) @ self.weight


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
        expected: (n, 2) the loss's gradient by log-probability and KL that is to be expected, up to
            a factor for each token; zeros, or None, where nothing is known. It only saves time.
    """

    targets: Tensor
    reference_hidden: Tensor | None = None
    reference_row: Tensor | None = None
    kl: Tensor | None = None
    functions: Mapping[str, Function] = field(default_factory=dict)
    function_tokens: Tensor | None = None
    function_reference: bool = False
    expected: Tensor | None = None


def vocabulary_statistics(
    hidden: Tensor, head: Head, reference_head: Head, wanted: Wanted
) -> Tensor:
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
    """Keeps hidden states and their expected gradient for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        reference_head: Head,
        wanted: Wanted,
    ) -> Tensor:
        device = hidden.device.type
        ctx.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        ctx.wanted, ctx.reference_head = wanted, reference_head.to(ctx.dtype)
        columns = 3 + len(wanted.functions)
        out = hidden.new_full((len(hidden), columns), torch.nan, dtype=torch.float32)
        head = Head(weight, bias).to(ctx.dtype)
        ahead, expected = None, wanted.expected
        # A trained head's own gradient needs the logits in the backward pass anyhow.
        if expected is not None and ctx.needs_input_grad[:3] == (True, False, False):
            ahead = torch.empty_like(hidden)
        for tokens in _chunks(hidden, head, wanted):
            chunk = _Chunk(tokens, hidden, head, ctx.reference_head, wanted)
            out[tokens] = chunk.statistics(columns)
            if ahead is not None and expected is not None and expected[tokens].any():
                gradient = chunk.logit_gradient(*expected[tokens].unbind(1))
                ahead[tokens] = head.by_hidden(gradient).to(hidden.dtype)
                del gradient
            del chunk  # before the next one's logits are made
        ctx.save_for_backward(hidden, weight, bias, ahead)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, ahead = ctx.saved_tensors
        head, wanted = Head(weight, bias).to(ctx.dtype), ctx.wanted
        grad_hidden = torch.zeros_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        grad_bias = torch.zeros_like(bias) if ctx.needs_input_grad[2] else None
        for tokens in _chunks(hidden, head, wanted):
            by_values = grad[tokens]
            if not by_values.any():
                continue
            factor = None if ahead is None else _factor(by_values, wanted.expected[tokens])
            if factor is not None:
                grad_hidden[tokens] = (ahead[tokens] * factor[:, None]).to(hidden.dtype)
                continue
            chunk = _Chunk(tokens, hidden, head, ctx.reference_head, wanted)
            by_logits = chunk.logit_gradient(by_values[:, 0], by_values[:, 2], by_values[:, 3:])
            grad_hidden[tokens] = head.by_hidden(by_logits).to(hidden.dtype)
            if grad_weight is not None and head.weight is not None:
                by_logits = by_logits.to(head.weight.dtype)
                _add_product(grad_weight, by_logits.t(), hidden[tokens].to(by_logits.dtype))
            if grad_bias is not None:
                grad_bias += by_logits.sum(0)
            del chunk, by_logits
        return grad_hidden, grad_weight, grad_bias, None, None


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a @ b to `total`: in place where the types agree, as the product is the whole head's."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b


def _factor(grad: Tensor, expected: Tensor) -> Tensor | None:
    """Return how many times the expected gradient each token's is, (n,); None if it is not."""
    asked = grad[:, [0, 2]]
    factor = (asked * expected).sum(1) / expected.square().sum(1)
    difference = (factor[:, None] * expected - asked).abs().amax(1)
    if grad[:, 3:].any() or not bool((difference <= 1e-6 * asked.abs().amax(1)).all()):
        return None
    return factor


def _chunks(hidden: Tensor, head: Head, wanted: Wanted) -> Iterator[Tensor]:
    """Yield the tokens of each chunk: all of one kind, as to what is asked of them."""
    vocabulary = hidden.shape[1] if head.weight is None else head.weight.shape[0]
    chunk = CHUNK.get(hidden.device.type, DEFAULT_CHUNK)
    if head.weight is not None and head.weight.requires_grad:
        chunk *= 2  # its gradient is added to once for each chunk, which takes time
    size = max(1, chunk // vocabulary)
    kind = torch.zeros_like(wanted.targets)
    if wanted.reference_row is not None:
        referenced = wanted.reference_row >= 0
        kind += referenced
        if wanted.kl is not None:
            kind += 2 * (wanted.kl & referenced)
    if wanted.functions and wanted.function_tokens is not None:
        kind += 4 * wanted.function_tokens
    for each in kind.unique():
        tokens = torch.nonzero(kind == each)[:, 0]
        yield from tokens.chunk(-(-len(tokens) // size))


class _Distribution:
    """Distributions over the vocabulary, each (n, vocabulary).

    A softmax is several times faster than a logarithmic one, from which it would have to be taken
    by `exp`; the logarithm of the normalizer follows from where both are largest.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.probs = logits.softmax(-1)
        self.log_normalizer = logits.amax(-1) - self.probs.amax(-1).log()

    def log_prob(self, targets: Tensor) -> Tensor:
        return self.logits.gather(1, targets[:, None])[:, 0] - self.log_normalizer

    def log_probs(self) -> Tensor:
        return self.logits - self.log_normalizer[:, None]


class _Chunk:
    """Tokens of one kind, and their distributions."""

    def __init__(
        self, tokens: Tensor, hidden: Tensor, head: Head, reference_head: Head, wanted: Wanted
    ) -> None:
        first = tokens[0]
        self.targets = wanted.targets[tokens]
        self.policy = _Distribution(head.logits(hidden[tokens]))
        self.reference: _Distribution | None = None
        if wanted.reference_hidden is not None and wanted.reference_row is not None:
            row = wanted.reference_row[tokens]
            if row[0] >= 0:
                self.reference = _Distribution(reference_head.logits(wanted.reference_hidden[row]))
        self.kl = self.reference is not None and wanted.kl is not None and bool(wanted.kl[first])
        asked = wanted.function_tokens is not None and bool(wanted.function_tokens[first])
        self.functions = list(wanted.functions.values()) if asked else []
        self.function_reference = wanted.function_reference

    def statistics(self, columns: int) -> Tensor:
        """Return the chunk's rows of what `vocabulary_statistics` returns."""
        policy, reference = self.policy, self.reference
        out = policy.logits.new_full((len(self.targets), columns), torch.nan)
        out[:, 0] = policy.log_prob(self.targets)
        if reference is not None:
            out[:, 1] = reference.log_prob(self.targets)
            if self.kl:
                weighted = torch.linalg.vecdot(reference.probs, reference.logits - policy.logits)
                out[:, 2] = weighted - (reference.log_normalizer - policy.log_normalizer)
        if self.functions:
            out[:, 3:] = self._values(policy.log_probs())
        return out

    def _values(self, log_probs: Tensor) -> Tensor:
        """Return the vocabulary functions' values, (n, functions)."""
        given = self.function_reference and self.reference is not None
        reference = self.reference.log_probs() if given and self.reference else None
        return torch.stack([f(log_probs, self.targets, reference) for f in self.functions], 1)

    def logit_gradient(
        self, by_log_prob: Tensor, by_kl: Tensor, by_functions: Tensor | None = None
    ) -> Tensor:
        """Return the gradient by the chunk's logits, (n, vocabulary); the chunk is used up.

        With p the policy's and r the reference's probabilities,
        d log p_t / d z = onehot(t) - p and d KL(r || p) / d z = p - r.

        Args:
            by_log_prob: (n,) the loss's gradient by the target's log-probability.
            by_kl: (n,) by the KL; not read where there is none.
            by_functions: (n, functions) by the vocabulary functions; None for 0.
        """
        functions = None if by_functions is None else self._function_gradient(by_functions)
        result = self.policy.probs
        result *= (by_kl - by_log_prob if self.kl else -by_log_prob)[:, None]
        result[torch.arange(len(result), device=result.device), self.targets] += by_log_prob
        if self.kl and self.reference is not None:
            result.addcmul_(self.reference.probs, by_kl[:, None], value=-1)
        return result if functions is None else result.add_(functions)

    def _function_gradient(self, grad: Tensor) -> Tensor | None:
        """Return the vocabulary functions' part of the gradient, by autograd."""
        if not self.functions:
            return None
        with torch.enable_grad():
            logits = self.policy.logits.detach().requires_grad_()
            values = self._values(logits.log_softmax(-1))
            (result,) = torch.autograd.grad(values, logits, grad.to(values.dtype))
        return result
