"""A second device on a machine that has none: tensors in main memory that say `pretended:0`.

While `pretended_device()` lasts, whatever is made on it or moved to it is a `Pretended` tensor, and
an operation on tensors of both devices raises as on a GPU. Allowed is what CUDA allows: copies
between the devices, tensors of no dimension in main memory, and indices in main memory in plain
indexing (`a[i]`; not in `index_select`, `gather` or an embedding). A pretended tensor has no
`.numpy()`, and a generator must be the device's own.

What it does not show: kernels, their rounding and speed, memory, streams and collectives.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

torch.utils.rename_privateuse1_backend("pretended")
DEVICE = torch.device("pretended:0")
_aten = torch.ops.aten
_INDEXING = {
    _aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default,
    _aten._index_put_impl_.default, _aten._unsafe_index.Tensor,
}  # fmt: skip
_COPIES = {_aten.copy_.default, _aten._to_copy.default, _aten._foreach_copy_.default}


class Pretended(Tensor):
    """A tensor in main memory that says that it is on the device."""

    @staticmethod
    def __new__(cls, memory: Tensor) -> "Pretended":
        return Tensor._make_subclass(
            cls, memory, memory.requires_grad, dispatch_device=True, device_for_backend_keys=DEVICE
        )

    __torch_function__ = torch._C._disabled_torch_function_impl

    def tolist(self) -> Any:
        """Return the values; torch itself has no such method for subclasses."""
        return self.cpu().tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copy: Tensor = self.detach().clone().requires_grad_(self.requires_grad)
        if isinstance(self, nn.Parameter):
            copy = nn.Parameter(copy, self.requires_grad)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.cpu().__reduce_ex__(protocol)

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_moved(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_moved(index), value)

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _run(function, args, kwargs or {})


def _moved(index: Any) -> Any:
    """Move lists of numbers in an index, which torch would move where no mode sees it."""
    if isinstance(index, tuple):
        return tuple(map(_moved, index))
    return torch.tensor(index, device=DEVICE) if isinstance(index, list | range) else index


def _memory(value: Any) -> Any:
    """Return a pretended tensor as the plain one on the same memory, the device as the CPU."""
    if isinstance(value, torch.device):
        return torch.device("cpu")
    if not isinstance(value, Pretended):
        return value
    plain = torch.empty(0, dtype=value.dtype)
    with torch.no_grad():
        return plain.set_(
            value.untyped_storage(), value.storage_offset(), value.size(), value.stride()
        )


def _run(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    if function is torch.ops.prim.device.default:
        return DEVICE
    if function is _aten._fused_sdp_choice.default:
        return 0  # plain products: the fused kernels are the GPU's own
    leaves, shape = tree_flatten((args, kwargs))
    tensors = [t for t in leaves if isinstance(t, Tensor)]
    _check(function, args, tensors)
    on_device = any(isinstance(t, Pretended) for t in tensors)
    if kwargs.get("device") is not None:
        on_device = torch.device(kwargs["device"]).type == DEVICE.type
    if kwargs.get("generator") is not None and on_device:
        raise RuntimeError(f"{function}: the generator is not of the device {DEVICE}")
    plain = [_memory(leaf) for leaf in leaves]
    # What is written in place is itself again.
    originals = {
        id(ours): leaf for ours, leaf in zip(plain, leaves, strict=True) if ours is not leaf
    }

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return originals[id(value)] if id(value) in originals else Pretended(value)

    with no_dispatch():
        plain_args, plain_kwargs = tree_unflatten(plain, shape)
        out = function(*plain_args, **plain_kwargs)
        if not on_device:
            return out
        return wrapped(out) if isinstance(out, Tensor) else tree_map(wrapped, out)


def _check(function: Any, args: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    """Raise where a GPU would."""
    if function in _COPIES:
        return
    if function in _INDEXING and isinstance(args[0], Pretended):
        indices = [t for t in args[1] if t is not None]
        tensors = [t for t in tensors if not any(t is index for index in indices)]
    homes = {isinstance(t, Pretended) for t in tensors if t.dim() or isinstance(t, Pretended)}
    if homes == {True, False}:
        raise RuntimeError(f"{function}: expected all tensors to be on one device, found two")


class _Mode(TorchDispatchMode):
    """Sees what is made on the device, or moved to it."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if torch.is_inference_mode_enabled() and function.namespace == "aten":
            # There operations come here whole that elsewhere autograd has taken apart.
            with self:
                out = function.decompose(*args, **(kwargs or {}))
            if out is not NotImplemented:
                return out
        return _run(function, args, kwargs or {})


class _Module(_DummyBackendModule):
    """What torch asks of a device's module; all random numbers are those of main memory."""

    def get_rng_state(self, *_: Any) -> Tensor:
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, *_: Any) -> None:
        pass


@contextmanager
def pretended_device() -> Iterator[torch.device]:
    """Let there be a device while this lasts.

    For a process of its own: torch has an accelerator ever after.
    """
    _setup_privateuseone_for_python_backend(DEVICE.type, _Module())
    # A module keeps its parameters, tied ones too, when it moves.
    torch.__future__.set_swap_module_params_on_conversion(True)
    # `torch.tensor` makes a tensor in main memory and moves it then, where a mode sees it.
    torch._C._set_only_lift_cpu_tensors(True)
    environment = patch.dict("os.environ", ACCELERATE_TORCH_DEVICE=str(DEVICE))
    # Modes are those of a thread: backward passes stay in this one.
    with environment, torch.autograd.set_multithreading_enabled(False), _Mode():
        yield DEVICE
