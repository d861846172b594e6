"""Hooks that see, or replace, what a part of a model is given or returns."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def hooks(*registered: Any) -> Iterator[None]:
    """Remove the hooks with these handles when the context ends."""
    with ExitStack() as stack:
        for handle in registered:
            stack.callback(handle.remove)
        yield


def on_output(module: nn.Module, see: Callable[[Tensor], Tensor | None]) -> Any:
    """Call `see` with what `module` returns, its first tensor; what `see` returns replaces it."""

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        replacement = see(first_tensor(output))
        if replacement is None:
            return None
        if isinstance(output, Tensor):
            return replacement
        return (replacement, *output[1:])

    return module.register_forward_hook(hook)


def on_input(module: nn.Module, see: Callable[[Tensor], Tensor | None]) -> Any:
    """Call `see` with what `module` is given, its first tensor; what `see` returns replaces it."""

    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            replacement = see(args[0])
            return None if replacement is None else ((replacement, *args[1:]), kwargs)
        name = next(name for name, value in kwargs.items() if isinstance(value, Tensor))
        replacement = see(kwargs[name])
        return None if replacement is None else (args, kwargs | {name: replacement})

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def first_tensor(output: Any) -> Tensor:
    """Return `output`, or its first element if it is a tuple."""
    tensor: Tensor = output if isinstance(output, Tensor) else output[0]
    return tensor
