"""Batches of like length."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from relearn.inference.length_batches import in_length_batches


@given(st.lists(st.text(max_size=6)), st.integers(1, 5))
def test_values_come_in_the_order_of_the_items(items: list[str], size: int) -> None:
    seen: list[list[str]] = []

    def work(batch: list[str]) -> list[str]:
        seen.append(batch)
        return [text.upper() for text in batch]

    found = in_length_batches(items, work, length=len, size=size, title=None)
    assert found == [text.upper() for text in items]
    together = [text for batch in seen for text in batch]
    assert together == sorted(items, key=len)
    assert all(len(batch) == size for batch in seen[:-1])


def test_a_batch_that_does_not_fit_into_memory_is_halved() -> None:
    sizes = []

    def work(batch: list[str]) -> list[str]:
        sizes.append(len(batch))
        if len(batch) > 3:
            torch.empty(1 << 55, dtype=torch.uint8)  # the allocator's own error
        return [text.upper() for text in batch]

    items = [str(i) for i in range(10)]
    found = in_length_batches(items, work, length=len, size=8, title=None)
    assert found == items
    assert sizes == [8, 4, 2, 2, 4, 2, 2, 2]


def test_other_errors_and_what_does_not_fit_alone_are_raised() -> None:
    def too_large(batch: list[str]) -> list[str]:
        torch.empty(1 << 55, dtype=torch.uint8)
        return batch

    def wrong(batch: list[str]) -> list[str]:
        raise ValueError("wrong")

    for work, error in ((too_large, "allocate"), (wrong, "wrong")):
        with pytest.raises((RuntimeError, ValueError), match=error):
            in_length_batches(["a", "b"], work, length=len, size=2, title=None)
