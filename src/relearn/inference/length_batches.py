"""Batches of texts of like length, so that little of a batch is padding."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

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
    """Do `work` on batches of items of like length, smaller ones where memory runs out.

    Args:
        items: In any order.
        work: From a batch to a value for each of its items; the values do not depend on how items
            are shared out over batches.
        length: Of an item, in tokens.
        size: Items of a batch.
        title: Of the progress bar; None shows none.

    Returns:
        The value of each item, in the order of `items`.
    """
    values: dict[int, R] = {}
    with progress_bar(title) as advance:
        for batch in length_batches(range(len(items)), lambda i: length(items[i]), size):
            values.update(zip(batch, _within_memory(work, [items[i] for i in batch]), strict=True))
            advance(len(values), len(items), "")
    return [values[i] for i in range(len(items))]


def _within_memory(work: Callable[[list[T]], Sequence[R]], batch: list[T]) -> list[R]:
    """Do `work` on a batch, or where memory runs out on its halves."""
    try:
        return list(work(batch))
    except Exception as error:
        if len(batch) == 1 or not should_reduce_batch_size(error):
            raise
    # Outside of the handler, whose error holds on to the tensors of the failed attempt.
    clear_device_cache(garbage_collection=True)
    half = len(batch) // 2
    return [*_within_memory(work, batch[:half]), *_within_memory(work, batch[half:])]
