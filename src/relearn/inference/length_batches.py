"""Batches of texts of like length, so that little of a batch is padding."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from relearn.base.distributed import shared_out
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
    shared: bool = False,
) -> list[R]:
    """Do `work` on batches of items of like length, smaller ones where memory runs out.

    Args:
        items: In any order.
        work: From a batch to a value for each of its items; the values do not depend on how items
            are shared out over batches.
        length: Of an item, in tokens.
        size: Items of a batch.
        title: Of the progress bar; None shows none.
        shared: Whether the processes at work share the batches: then all of them come here, with
            the same items, and have all values after it.

    Returns:
        The value of each item, in the order of `items`.
    """
    batches = list(length_batches(range(len(items)), lambda i: length(items[i]), size))
    with progress_bar(title) as advance:

        def do(number: int) -> list[R]:
            found = within_memory(work, [items[i] for i in batches[number]])
            advance(min((number + 1) * size, len(items)), len(items), "")
            return found

        numbers = range(len(batches))
        made = shared_out(do, numbers) if shared else [do(number) for number in numbers]
    values: dict[int, R] = {}
    for batch, found in zip(batches, made, strict=True):
        values.update(zip(batch, found, strict=True))
    return [values[i] for i in range(len(items))]


def within_memory(work: Callable[[list[T]], Sequence[R]], batch: list[T]) -> list[R]:
    """Do `work` on a batch, or where memory runs out on its halves.

    Returns:
        The value of each item.
    """
    try:
        return list(work(batch))
    except Exception as error:
        if len(batch) == 1 or not should_reduce_batch_size(error):
            raise
    # Outside of the handler, whose error holds on to the tensors of the failed attempt.
    clear_device_cache(garbage_collection=True)
    half = len(batch) // 2
    return [*within_memory(work, batch[:half]), *within_memory(work, batch[half:])]
