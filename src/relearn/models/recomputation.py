"""Activations that are made again in the backward pass instead of being kept for it."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor


class _Again:
    """How to make a tensor again: once for all that read it.

    Args:
        make: Makes it.
        like: The tensor.
    """

    def __init__(self, make: Callable[[], Tensor], like: Tensor) -> None:
        self._make = make
        self._made: Tensor | None = None
        self._readers = 0
        self.size, self.dtype = like.numel(), like.dtype

    def keep(self) -> None:
        """Count one more reader."""
        self._readers += 1

    @torch.no_grad()
    def get(self) -> Tensor:
        """Return the tensor to one of its readers."""
        made = self._make() if self._made is None else self._made
        self._readers -= 1
        self._made = made if self._readers > 0 else None
        return made


class _Recipes:
    """How to make tensors again, by where they lie in memory.

    An entry ends with its tensor, before anything else can lie there.
    """

    def __init__(self) -> None:
        self._entries: dict[int, _Again] = {}

    def add(self, tensor: Tensor, again: _Again) -> None:
        """Remember how to make `tensor` again."""
        place = tensor.data_ptr()
        self._entries[place] = again
        weakref.finalize(tensor, self._entries.pop, place, None)

    def pack(self, tensor: Tensor) -> Any:
        """Return what autograd keeps in the place of a tensor."""
        again = self._entries.get(tensor.data_ptr())
        whole = again is not None and (again.size, again.dtype) == (tensor.numel(), tensor.dtype)
        if again is None or not whole or not tensor.is_contiguous():
            return tensor
        again.keep()
        return again, tensor.shape


def _unpack(kept: Any) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    again, shape = kept
    return again.get().view(shape)


_active: list[_Recipes] = []


@contextmanager
def recomputation() -> Iterator[None]:
    """Let autograd keep, while this lasts, how to make a tensor where `made_again` says it."""
    recipes = _Recipes()
    _active.append(recipes)
    try:
        with torch.autograd.graph.saved_tensors_hooks(recipes.pack, _unpack):
            yield
    finally:
        _active.remove(recipes)


def made_again(tensor: Tensor, make: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """Return `tensor`, which is `make(*inputs)`, and let it be made again when it is needed.

    The inputs should be kept for the backward pass anyway, and making it take little time.
    """
    if _active:
        inputs = tuple(i.detach() if isinstance(i, Tensor) else i for i in inputs)
        _active[-1].add(tensor, _Again(partial(make, *inputs), tensor))
    return tensor
