"""The output of one decoder layer, caught on its way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from relearn.base.errors import UserError


@contextmanager
def layer_output(model: nn.Module, layer: int, keep: Tensor) -> Iterator[list[Tensor]]:
    """Catch what decoder layer `layer` puts out at the kept positions while the context lasts.

    Args:
        model: A causal language model of transformers, with or without adapter or wrapper.
        layer: Number of the layer, from 0.
        keep: (rows, length) boolean.

    Yields:
        A list that gets a (kept, hidden) tensor with each forward pass.

    Raises:
        UserError: the model has no such layer.
    """
    caught: list[Tensor] = []

    def catch(_: nn.Module, __: Any, output: Any) -> None:
        hidden = output if isinstance(output, Tensor) else output[0]
        caught.append(hidden[keep])

    handle = decoder_layer(model, layer).register_forward_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()


def decoder_layer(model: nn.Module, layer: int) -> nn.Module:
    """Return the decoder layer that `layer` numbers, from 0.

    Raises:
        UserError: the model has no such layer.
    """
    unwrapped: Any = getattr(model, "module", model)
    if hasattr(unwrapped, "get_base_model"):
        unwrapped = unwrapped.get_base_model()
    count = unwrapped.config.get_text_config().num_hidden_layers
    lists = (m for m in unwrapped.get_decoder().modules() if isinstance(m, nn.ModuleList))
    layers = next((each for each in lists if len(each) == count), ())
    if not 0 <= layer < len(layers):
        raise UserError(
            f"training.objective_options.layer: the model has no layer {layer}.",
            f"Its layers are 0 to {len(layers) - 1}." if layers else "Take another objective.",
        )
    return layers[layer]
