"""Direct logit attribution: what each head and each MLP adds to the logit of the true token.

The residual stream before the final norm is a sum: the embedding, what every head writes, what
every MLP writes, and biases. With the norm's scale frozen the logit is linear in it, so it is the
sum of what each part contributes (Elhage et al. 2021, A Mathematical Framework for Transformer
Circuits). The mean over the vocabulary is taken off: it raises all tokens alike and changes no
probability.
"""

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from relearn.analysis.frozen_norm import FrozenNorm
from relearn.analysis.layout import Branch, Layout
from relearn.analysis.names import ATTENTION
from relearn.analysis.observe import Tables, joined, key_rows, long_rows
from relearn.analysis.probes import Batch
from relearn.models.hooks import on_input, on_output


class Components:
    """Direct logit attribution at the keys.

    Args:
        layout: Of the model.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._mean: Tensor = layout.head.weight.detach().float().mean(0)
        self._kept: dict[str, Tensor] = {}
        self.seen: list[pd.DataFrame] = []

    def hooks(self, batch: Batch) -> list[Any]:
        """Watch at the keys what every branch makes and writes."""
        rows, places = batch.keys

        def keep(name: str) -> Any:
            def see(hidden: Tensor) -> None:
                self._kept[name] = hidden.detach()[rows, places].float()

            return see

        layout = self._layout
        handles = [
            on_input(layout.blocks[0], keep("embedding")),
            on_input(layout.final_norm, keep("stream")),
        ]
        for branch in layout.branches:
            handles.append(on_output(branch.writer, keep(branch.name)))
            if branch.projection is not None:
                handles.append(on_input(branch.projection, keep(f"{branch.name}.heads")))
            if branch.post_norm is not None:
                handles.append(on_output(branch.module, keep(f"{branch.name}.raw")))
        return handles

    def see(self, batch: Batch, logits: Tensor) -> pd.DataFrame:
        """Return the rows of one batch."""
        if not len(batch.key_tokens):
            return pd.DataFrame()
        parts = self.contributions(batch.key_tokens)
        kinds, layers, heads = zip(*parts, strict=True)
        values = torch.stack(list(parts.values())).cpu()
        columns = {"kind": kinds, "layer": layers, "head": heads}
        return long_rows(key_rows(batch), columns, values, "contribution")

    @torch.no_grad()
    def contributions(self, tokens: Tensor) -> dict[tuple[str, int, int], Tensor]:
        """Return what each part adds to the logits of `tokens` (keys,) at the keys last seen.

        Returns:
            (keys,) by kind, layer and head, -1 where there is none. Kinds: `embedding`, `head`,
            `mlp`, and `bias` for the rest. They sum to the logit, before any soft cap, less the
            mean of all logits.
        """
        layout, kept = self._layout, self._kept
        head = layout.head
        unembedding = head.weight.detach()[tokens.to(head.weight.device)].float() - self._mean
        norm = FrozenNorm.at(layout.final_norm, _as_model(layout, kept["stream"]))
        direction = norm.pull_back(unembedding)
        parts = {("embedding", -1, -1): (kept["embedding"] * direction).sum(-1)}
        for branch in layout.branches:
            if branch.kind == ATTENTION:
                parts |= self._heads(branch, direction)
            else:
                parts["mlp", branch.layer, -1] = (kept[branch.name] * direction).sum(-1)
        bias = unembedding @ norm.bias
        if head.bias is not None:
            bias = bias + (head.bias[tokens] - head.bias.mean()).float()
        return parts | {("bias", -1, -1): bias}

    def _heads(self, branch: Branch, direction: Tensor) -> dict[tuple[str, int, int], Tensor]:
        """Return what each head of one attention adds, and what is left: its biases."""
        layout, kept = self._layout, self._kept
        written = (kept[branch.name] * direction).sum(-1)
        if branch.post_norm is not None:
            raw = _as_model(layout, kept[f"{branch.name}.raw"])
            direction = FrozenNorm.at(branch.post_norm, raw).pull_back(direction)
        matrix = layout.projection_matrix(branch)
        heads = kept[f"{branch.name}.heads"].reshape(-1, *matrix.shape[:2])
        added = torch.einsum("nhk,hkd,nd->nh", heads, matrix, direction)
        parts = {("head", branch.layer, h): added[:, h] for h in range(layout.heads)}
        return parts | {("bias", branch.layer, -1): written - added.sum(-1)}

    def tables(self) -> Tables:
        """Return `components`: a row for each key and part."""
        return {"components": joined(self.seen)}


class SubjectAttention:
    """How much of its attention each head gives, at the keys, to the subject's tokens.

    Args:
        layout: Of the model, with attention that returns its weights (`eager`).
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._kept: list[Tensor] = []
        self.seen: list[pd.DataFrame] = []

    def hooks(self, batch: Batch) -> list[Any]:
        """Watch the attention weights at the keys."""
        rows, places = batch.keys
        on_subject = torch.zeros(batch.input_ids.shape)
        for row, probe in enumerate(batch.probes):
            on_subject[row, list(probe.subject)] = 1
        mask = on_subject[rows].to(batch.input_ids.device)
        self._kept.clear()

        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            weights = output[1][rows, :, places].float()
            self._kept.append((weights * mask[:, None]).sum(-1).cpu())

        return [branch.module.register_forward_hook(hook) for branch in self._layout.attentions]

    def see(self, batch: Batch, logits: Tensor) -> pd.DataFrame:
        """Return the rows of one batch."""
        heads = self._layout.heads
        columns = {
            "layer": [layer for layer in range(len(self._kept)) for _ in range(heads)],
            "head": list(range(heads)) * len(self._kept),
        }
        values = torch.cat([weights.T for weights in self._kept])
        return long_rows(key_rows(batch), columns, values, "attention")

    def tables(self) -> Tables:
        """Return `attention`: a row for each key and head, `attention` in 0 to 1."""
        return {"attention": joined(self.seen)}


def _as_model(layout: Layout, hidden: Tensor) -> Tensor:
    return hidden.to(layout.model.dtype)
