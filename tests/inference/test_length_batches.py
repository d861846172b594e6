"""Batches of like length."""

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
