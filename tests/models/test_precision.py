"""Which types this machine multiplies at full speed, beside a clock."""

import time

import torch

from relearn.models.precision import is_native


def test_bfloat16_is_native_where_its_products_are_no_slower() -> None:
    """An emulated product takes three to nine times as long as one of float32 numbers."""
    device = torch.device("cpu")
    assert is_native(torch.float32, device)
    taken = {}
    for dtype in (torch.float32, torch.bfloat16):
        factor = torch.randn(768, 768).to(dtype)
        taken[dtype] = min(_seconds(factor) for _ in range(12))
    no_slower = taken[torch.bfloat16] < 1.7 * taken[torch.float32]
    assert is_native(torch.bfloat16, device) == no_slower, taken


def _seconds(factor: torch.Tensor) -> float:
    start = time.perf_counter()
    factor @ factor
    return time.perf_counter() - start
