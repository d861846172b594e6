"""Where the parts of a decoder are, found from one traced forward pass and never from its name.

All that is assumed is the usual layout of transformers: a list of like blocks; in each an attention
and an MLP, side by side or in turn; each of them reads the residual stream through a norm (or none)
and adds what it writes (through a second norm, or none); a final norm; an output head. What is
found is checked: every block's output must be its input plus what its two branches write.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from relearn.analysis.names import ATTENTION, MLP
from relearn.base.errors import UserError
from relearn.models.hooks import hooks
from relearn.models.label_logits import label_logits


@dataclass(frozen=True)
class Branch:
    """An attention or an MLP of one block.

    Attributes:
        kind: `attention` or `mlp`.
        layer: Number of the block, from 0.
        module: The attention or the MLP itself.
        reader: The norm through which it reads the residual stream; an identity where none is.
        parallel: Whether it reads what its block is given. The MLP of a sequential block reads
            that plus what the attention wrote.
        post_norm: The norm that what it wrote passes before it is added; None in most families.
        projection: The attention's output projection, whose input is all heads' side by side;
            None for an MLP.
    """

    kind: str
    layer: int
    module: nn.Module
    reader: nn.Module
    parallel: bool
    post_norm: nn.Module | None
    projection: nn.Module | None

    @property
    def writer(self) -> nn.Module:
        """The module whose output is added to the residual stream."""
        return self.post_norm or self.module

    @property
    def name(self) -> str:
        """Such as `attention.3`."""
        return f"{self.kind}.{self.layer}"


@dataclass(frozen=True)
class Layout:
    """The parts of one model.

    Attributes:
        model: The model.
        blocks: Its decoder blocks.
        branches: Attention and MLP of every block, in the order in which they are added.
        final_norm: Between the last block and the head.
        head: The output head; a linear map.
        heads: Attention heads of a block.
    """

    model: PreTrainedModel
    blocks: Sequence[nn.Module]
    branches: tuple[Branch, ...]
    final_norm: nn.Module
    head: nn.Linear
    heads: int

    @property
    def readers(self) -> list[nn.Module]:
        """What each branch's input is taken from: its reader, or itself where it has none."""
        return [
            branch.module if isinstance(branch.reader, nn.Identity) else branch.reader
            for branch in self.branches
        ]

    @property
    def attentions(self) -> list[Branch]:
        """The attention of every block."""
        return [branch for branch in self.branches if branch.kind == ATTENTION]

    def projection_matrix(self, branch: Branch) -> Tensor:
        """Return the attention's output projection as (heads, head size, hidden), float32."""
        module: Any = branch.projection
        # GPT-2's layer type keeps its weight the other way round.
        weight = module.weight if isinstance(module, Conv1D) else module.weight.T
        return weight.float().reshape(self.heads, -1, weight.shape[1])

    def logits(self, normed: Tensor) -> Tensor:
        """Return what the model makes of final hidden states, its own soft caps included.

        Args:
            normed: (n, hidden), what the head would see.

        Returns:
            (n, vocabulary) float32.
        """
        ids = torch.zeros((1, 1), dtype=torch.long, device=normed.device)
        keep = torch.zeros_like(ids, dtype=torch.bool)
        return label_logits(self.model, ids, torch.ones_like(ids), keep, also=normed).float()


def find_layout(model: PreTrainedModel) -> Layout:
    """Find the parts of `model` by tracing one short forward pass.

    Raises:
        UserError: the model has not the usual layout.
    """
    config = model.config.get_text_config()
    blocks = _find_blocks(model, config.num_hidden_layers)
    calls = _traced(model)
    branches = tuple(
        branch for layer, block in enumerate(blocks) for branch in _branches(layer, block, calls)
    )
    head = cast(nn.Linear, model.get_output_embeddings())
    given = next(call.given for call in calls if call.module is head)
    norms = [call.module for call in calls if _is_norm(call.module) and call.feeds(given)]
    if not norms:
        raise _unusual(model, "no norm stands before its output head")
    layout = Layout(
        model=model,
        blocks=blocks,
        branches=branches,
        final_norm=norms[-1],
        head=head,
        heads=config.num_attention_heads,
    )
    _check_additive(layout, calls)
    return layout


@dataclass(frozen=True)
class _Call:
    """One call of one module during the trace; tensors are held, so that no address is reused."""

    module: nn.Module
    given: Tensor
    returned: Tensor

    def feeds(self, tensor: Tensor) -> bool:
        """Whether what this call returned is `tensor`, or a view of all of it."""
        return (
            self.returned.data_ptr() == tensor.data_ptr()
            and self.returned.numel() == tensor.numel()
        )


def _find_blocks(model: nn.Module, layers: int) -> list[nn.Module]:
    lists = [
        list(module)
        for module in model.modules()
        if isinstance(module, nn.ModuleList)
        and len(module) == layers
        and len({type(block) for block in module}) == 1
    ]
    if not lists:
        raise _unusual(model, f"it has no list of {layers} like blocks")
    return lists[0]


def _traced(model: PreTrainedModel) -> list[_Call]:
    """Return the calls of every module, in the order in which they end, of a forward pass."""
    calls: list[_Call] = []

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        tensors = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
        returned = output[0] if isinstance(output, tuple) and output else output
        if tensors and isinstance(returned, Tensor):
            calls.append(_Call(module, tensors[0], returned))

    handles = [m.register_forward_hook(note, with_kwargs=True) for m in model.modules()]
    ids = torch.arange(1, 6, device=model.device)[None]
    with hooks(*handles), torch.no_grad():
        model(input_ids=ids, use_cache=False)
    return calls


def _branches(layer: int, block: nn.Module, calls: list[_Call]) -> list[Branch]:
    """Return the block's attention and MLP, in the order of their calls."""
    children = dict(block.named_children())
    by_module = {id(child): name for name, child in children.items()}
    own = [call for call in calls if id(call.module) in by_module]
    block_input = next(call.given for call in calls if call.module is block)
    found = []
    for call in own:
        if not any(p.dim() >= 2 for p in call.module.parameters()):
            continue
        name = by_module[id(call.module)]
        kind = ATTENTION if "attn" in name or "attention" in name else MLP
        reading = next((c for c in own if c.feeds(call.given)), None)
        read = reading.given if reading else call.given
        found.append(
            Branch(
                kind=kind,
                layer=layer,
                module=call.module,
                reader=reading.module if reading else nn.Identity(),
                parallel=read.data_ptr() == block_input.data_ptr(),
                post_norm=next(
                    (c.module for c in own if _is_norm(c.module) and call.feeds(c.given)), None
                ),
                projection=_projection(call, calls) if kind == ATTENTION else None,
            )
        )
    found.sort(key=lambda branch: branch.kind)
    if [branch.kind for branch in found] != [ATTENTION, MLP]:
        kinds = " and ".join(branch.kind for branch in found) or "nothing"
        raise _unusual(block, f"it has {kinds} where an attention and an MLP are expected")
    return found


def _projection(attention: _Call, calls: list[_Call]) -> nn.Module:
    """Return the last linear map within an attention: the one after the heads."""
    inside = {id(module) for module in attention.module.modules()}
    linear = [
        call
        for call in calls
        if id(call.module) in inside and getattr(call.module, "weight", torch.empty(0)).dim() == 2
    ]
    return linear[-1].module


def _is_norm(module: nn.Module) -> bool:
    """Whether all parameters are vectors, and there is one: norms, and not dropouts."""
    parameters = list(module.parameters())
    return bool(parameters) and all(p.dim() == 1 for p in parameters)


def _check_additive(layout: Layout, calls: list[_Call]) -> None:
    """Refuse a model whose blocks do anything but add what their branches write."""
    last = {id(call.module): call for call in calls}
    for layer, block in enumerate(layout.blocks):
        total = last[id(block)].given.float()
        for branch in layout.branches[2 * layer : 2 * layer + 2]:
            total = total + last[id(branch.writer)].returned.float()
        returned = last[id(block)].returned.float()
        error = (total - returned).abs().max() / returned.abs().max()
        if error > 100 * torch.finfo(layout.model.dtype).eps:
            raise _unusual(layout.model, f"block {layer} does more than add its two branches")


def _unusual(model: nn.Module, reason: str) -> UserError:
    return UserError(
        f"{type(model).__name__} has not the usual layout of a decoder: {reason}.",
        "relearn analyze needs an attention and an MLP that add to one residual stream.",
    )
