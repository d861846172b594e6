"""The type that a machine multiplies in at full speed."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_X86 = ("x86_64", "AMD64")


def is_native(dtype: torch.dtype, device: torch.device) -> bool:
    """Tell whether `device` has instructions for products of `dtype`."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return True
    if dtype == torch.bfloat16:
        # oneDNN also counts every CPU with AVX-512 in, and converts number by number on most.
        emulates = platform.machine() in _X86 and not torch.cpu._is_avx512_bf16_supported()
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and not emulates
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return True


@contextmanager
def native_precision(model: nn.Module) -> Iterator[None]:
    """Let `model` compute in float32 while this lasts, where its own type is an emulated one.

    A CPU without 16-bit instructions takes three to nine times as long for products of bfloat16
    numbers as for those of float32 numbers. Frozen weights are exactly what they were afterwards.
    """
    emulated = convert_to_native(model)
    try:
        yield
    finally:
        _convert(model, emulated)


def convert_to_native(model: nn.Module) -> dict[int, torch.dtype]:
    """Let `model` compute in float32 from now on, where its own type is an emulated one.

    Returns:
        By id of the parameter, the type of each that was converted.
    """
    emulated = {
        id(p): p.dtype for p in model.parameters() if p.is_floating_point() and not _native(p)
    }
    _convert(model, dict.fromkeys(emulated, torch.float32))
    return emulated


def _native(parameter: nn.Parameter) -> bool:
    return is_native(parameter.dtype, parameter.device)


def _convert(model: nn.Module, types: dict[int, torch.dtype]) -> None:
    """Convert the parameters with these ids; others, such as an adapter's, are left alone."""
    for parameter in model.parameters():
        if id(parameter) in types:
            parameter.data = parameter.data.to(types[id(parameter)])
