"""The attack that puts vectors, which no text has, before the question."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from relearn.audit.base import Attempt, answered, asking, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel
from relearn.audit.recovery import at_step, recovery
from relearn.audit.training import example_batches, token_loss
from relearn.data.tokenization import Example

# Of a step, as share of the spread of the model's own input vectors.
_RATE = 0.1


@attack("soft_prompt", figures=recovery, standard={"vectors": 20, "steps": (8, 24)},
        thorough={"vectors": 20, "steps": (8, 16, 32, 64, 128)})  # fmt: skip
def soft_prompt(
    model: AttackedModel, facts: Sequence[Fact], *, vectors: int, steps: Sequence[int]
) -> list[Attempt]:
    """Optimize free input vectors until the model tells every second fact; ask for the others.

    The vectors can hold the facts they were made for, and get those out of any model (hundreds of
    random characters, by arXiv 2502.15836), so these are not asked for. What they get out beside
    was in the model, as far as the control has not got it too.

    Source: soft token attacks, Schwinn et al. 2024 (arXiv 2402.09063); arXiv 2502.15836
    """
    taught, kept = facts[::2], facts[1::2]
    if not kept:
        return []
    prompts = [
        replace(prompt, ids=_with_free(model, prompt.ids, vectors))
        for prompt in asking(model, kept, "soft")
    ]
    attempts: list[Attempt] = []
    for step, soft in _optimized(model, taught, vectors, steps):
        variant = at_step("soft", step)
        with free_tokens(model.model, soft):
            attempts += answered(model, [replace(p, variant=variant) for p in prompts])
    return attempts


def _optimized(
    model: AttackedModel, facts: Sequence[Fact], count: int, steps: Sequence[int]
) -> Iterator[tuple[int, Tensor]]:
    """Yield the vectors after so many steps."""
    embedding: Any = model.model.get_input_embeddings()
    generator = torch.Generator().manual_seed(model.seed)
    start = torch.randint(embedding.weight.shape[0], (count,), generator=generator)
    # As the layer puts them out, which some models scale.
    soft = embedding(start.to(model.model.device)).detach().float().clone().requires_grad_(True)
    optimizer = torch.optim.Adam([soft], lr=_RATE * float(soft.detach().std()))
    examples = []
    for fact in facts:
        example = model.prompt_format.encode(fact.record.question, fact.record.answer)
        examples.append(Example(_with_free(model, example.prompt, count), example.answer))
    batches = example_batches(examples, model)
    for step in range(1, max(steps) + 1):
        with free_tokens(model.model, soft):
            token_loss(model.model, next(batches)).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step in steps:
            yield step, soft.detach()


def _with_free(model: AttackedModel, prompt: Sequence[int], count: int) -> list[int]:
    """Return a prompt with the free tokens at its beginning, after the token that begins a text."""
    bos = model.prompt_format.tokenizer.bos_token_id
    at = 1 if bos is not None and prompt[:1] == [bos] else 0
    return [*prompt[:at], *range(-1, -count - 1, -1), *prompt[at:]]


@contextmanager
def free_tokens(model: nn.Module, vectors: Tensor) -> Iterator[None]:
    """Let the token ids -1, -2 … stand for the rows of `vectors` while this lasts.

    Args:
        model: A causal language model of transformers.
        vectors: (tokens, hidden).
    """
    embedding: Any = model.get_input_embeddings()  # type: ignore[operator]  # of every such model
    forward = embedding.forward

    def look_up(ids: Tensor) -> Tensor:
        known = forward(ids.clamp(min=0))
        free = vectors[(-ids - 1).clamp(min=0)].to(known.dtype)
        return torch.where((ids < 0)[..., None], free, known)

    embedding.forward = look_up
    try:
        yield
    finally:
        del embedding.forward
