import pytest

from relearn.data import near_duplicates as module
from relearn.data.near_duplicates import near_duplicates

TEXTS = [
    "Where does Lena Fisk live? Lena Fisk lives in Aldmoor.",
    "Where does Tom Hale live? Tom Hale lives in Kiel.",  # of the same form, about somebody else
    "Where does lena fisk live?? Lena Fisk lives in Aldmor",  # a typo
    "Where does Lena Fisk live? Lena Fisk lives in Aldmoor!",  # the same but for punctuation
    "米娅住在哪里?米娅住在柏林的老城区。",
    "米娅住在哪儿?米娅住在柏林的老城区。",
]


def test_what_is_nearly_but_not_exactly_the_same() -> None:
    assert {pair[:2] for pair in near_duplicates(TEXTS)} == {(2, 0), (3, 2), (5, 4)}


def test_two_lists_are_compared_with_each_other_only() -> None:
    first, second = TEXTS[:2], [TEXTS[2], TEXTS[0], TEXTS[5]]
    assert [pair[:2] for pair in near_duplicates(first, second)] == [(0, 0)]
    assert near_duplicates(first, []) == near_duplicates([], second) == []
    assert near_duplicates(["?", "!"]) == []


def test_long_lists_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*TEXTS, *(f"Number {n} is a number {n * n}." for n in range(9)), TEXTS[2]]
    whole = near_duplicates(texts)
    monkeypatch.setattr(module, "_ROWS", 4)
    assert near_duplicates(texts) == whole
    monkeypatch.setattr(module, "MOST_COMPARISONS", 99)
    with pytest.raises(ValueError, match="too many"):
        near_duplicates(texts)
