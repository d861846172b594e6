"""What the decoder layers put out, caught on its way or read by the model's own end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from relearn.base.errors import UserError
from relearn.models.adapters import adapted
from relearn.models.hooks import hooks, on_output


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
    with hooks(on_output(decoder_layer(model, layer), lambda hidden: caught.append(hidden[keep]))):
        yield caught


def decoder_layer(model: nn.Module, layer: int) -> nn.Module:
    """Return the decoder layer that `layer` numbers, from 0.

    Raises:
        UserError: the model has no such layer.
    """
    layers = _layers(model)
    if not 0 <= layer < len(layers):
        raise UserError(
            f"training.objective_options.layer: the model has no layer {layer}.",
            f"Its layers are 0 to {len(layers) - 1}." if layers else "Take another objective.",
        )
    return layers[layer]


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """Return all decoder layers in order.

    Raises:
        UserError: they are not found.
    """
    layers = _layers(model)
    if not layers:
        raise UserError(
            "the decoder layers of this model are not found.", "Leave out what looks into layers."
        )
    return layers


def layer_count(model: nn.Module) -> int:
    """Return how many decoder layers a model has, through whatever wraps it."""
    return int(_unwrapped(model).config.get_text_config().num_hidden_layers)


def _layers(model: nn.Module) -> list[nn.Module]:
    """Return the decoder layers through whatever wraps the model; none where there is no list."""
    decoder, count = _unwrapped(model).get_decoder(), layer_count(model)
    lists = (m for m in decoder.modules() if isinstance(m, nn.ModuleList))
    return list(next((each for each in lists if len(each) == count), ()))


def _unwrapped(model: nn.Module) -> Any:
    return adapted(getattr(model, "module", model))


@torch.no_grad()
def read_out(model: nn.Module, states: Tensor) -> Tensor:
    """Return what the model's own end makes of hidden states: its final norm, its output head.

    Source: the logit lens, nostalgebraist 2020

    Args:
        model: A causal language model of transformers.
        states: (n, hidden), put out by any decoder layer.

    Returns:
        (n, vocabulary) float32 logits.
    """
    ids = torch.zeros((1, 1), dtype=torch.long, device=states.device)
    with hooks(on_output(decoder_layers(model)[-1], lambda _: states[None])):
        logits = model(input_ids=ids, use_cache=False).logits.float()
    return logits.reshape(len(states), -1)  # GPT-2 makes as many rows of them
