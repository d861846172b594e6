"""Batches of texts of like length, so that little of a batch is padding."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from relearn.base.progress import progress_bar

T = TypeVar("T")
R = TypeVar("R")


def length_order(items: Sequence[T], length: Callable[[T], int]) -> list[int]:
    """Return the indices of `items`, the shortest first; those of one length keep their order."""
    return sorted(range(len(items)), key=lambda i: length(items[i]))


def length_batches(items: Sequence[T], length: Callable[[T], int], size: int) -> Iterator[list[T]]:
    """Yield batches of at most `size` items of like length, the shortest first."""
    order = length_order(items, length)
    for start in range(0, len(order), size):
        yield [items[i] for i in order[start : start + size]]


def in_length_batches(
    items: Sequence[T],
    work: Callable[[list[T]], Sequence[R]],
    *,
    length: Callable[[T], int],
    size: int,
    title: str | None,
) -> list[R]:
    """Do `work` on batches of items of like length.

    Args:
        items: In any order.
        work: From a batch to a value for each of its items.
        length: Of an item, in tokens.
        size: Items of a batch.
        title: Of the progress bar; None shows none.

    Returns:
        The value of each item, in the order of `items`.
    """
    values: dict[int, R] = {}
    with progress_bar(title) as advance:
        for batch in length_batches(range(len(items)), lambda i: length(items[i]), size):
            values.update(zip(batch, work([items[i] for i in batch]), strict=True))
            advance(len(values), len(items), "")
    return [values[i] for i in range(len(items))]
