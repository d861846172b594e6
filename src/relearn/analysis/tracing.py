"""Circuits: which parts, and which paths between them, carry the true token.

On a few prompts, with a backward pass from the log-probability of the key's token:

- **edges**: what part u writes, times the gradient of the log-probability with respect to what
  part v reads: the first-order effect of cutting the path u to v (edge attribution patching, Syed
  et al. 2023, arXiv 2310.10348, with nothing in place of the cut part). The norm through which v
  reads is frozen, so the edges into v sum to what v reads times its gradient.
- **attribution patching** (Nanda 2023; Kramar et al. 2024, arXiv 2403.00745): the first-order
  effect, on the unlearned model, of putting the target's activation of one part in the place of
  its own.
- **activation patching** (Meng et al. 2022, arXiv 2202.05262): the same, done, for the attentions
  or the MLPs of some layers at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from relearn.analysis.frozen_norm import FrozenNorm
from relearn.analysis.layout import Branch, Layout
from relearn.analysis.names import ATTENTION, CONTEXT, MLP, OUTPUT, SUBJECT
from relearn.analysis.probes import Batch
from relearn.models.hooks import hooks, on_input, on_output
from relearn.models.label_logits import label_logits

WINDOWS = 6

Activations = dict[str, Tensor]


@dataclass(frozen=True)
class Trace:
    """One batch's activations and gradients; each (rows, length, size), float32.

    Attributes:
        log_probs: (rows,) of the keys' tokens.
        activations: By name: `embedding`; `<branch>`, what it writes; `<attention>.heads`, the
            input of its output projection.
        gradients: Of the log-probability with respect to each of these.
        reads: By branch, or `output`: the gradient of the log-probability with respect to what it
            reads of the residual stream, through it alone and with its norm frozen.
        read_sums: By branch, or `output`: (rows,) what it reads times its gradient.
    """

    log_probs: Tensor
    activations: Activations
    gradients: Activations
    reads: Activations
    read_sums: Activations


def trace(layout: Layout, batch: Batch) -> Trace:
    """Run the model forward and backward over a batch of probes with one key each."""
    seen: Activations = {}
    inner: Activations = {}

    def keep(name: str) -> Any:
        def see(hidden: Tensor) -> None:
            seen[name] = hidden

        return see

    def start(hidden: Tensor) -> Tensor:
        seen["embedding"] = hidden.detach().requires_grad_()
        return seen["embedding"]

    def branch_off(name: str) -> Any:
        def see(hidden: Tensor) -> Tensor:
            # A node of its own, so that its gradient is the one through this branch alone.
            inner[name] = hidden.clone()
            return inner[name]

        return see

    handles = [on_input(layout.blocks[0], start)]
    for branch, reader in zip(layout.branches, layout.readers, strict=True):
        # Before the branch's own hook, which replaces its input where it has no reader.
        handles.append(on_input(reader, keep(f"{branch.name}.stream")))
        handles.append(on_input(branch.module, branch_off(branch.name)))
        handles.append(on_output(branch.writer, keep(branch.name)))
        if branch.projection is not None:
            handles.append(on_input(branch.projection, keep(f"{branch.name}.heads")))
    handles.append(on_input(layout.final_norm, keep("output.stream")))
    handles.append(on_output(layout.final_norm, keep("output.normed")))
    with hooks(*handles), torch.enable_grad():
        log_probs = _key_log_probs(layout, batch)
    inner[OUTPUT] = seen.pop("output.normed")
    streams = {b.name: seen.pop(f"{b.name}.stream") for b in layout.branches}
    streams[OUTPUT] = seen.pop("output.stream")
    values = [*seen.values(), *inner.values()]
    grads = torch.autograd.grad(log_probs.sum(), values, allow_unused=True, materialize_grads=True)
    readers = {branch.name: branch.reader for branch in layout.branches} | {
        OUTPUT: layout.final_norm
    }
    reads, sums = {}, {}
    for name, gradient in zip(inner, grads[len(seen) :], strict=True):
        reads[name], sums[name] = _read(readers[name], streams[name].detach(), gradient)
    return Trace(
        log_probs=log_probs.detach().cpu(),
        activations={name: value.detach().float() for name, value in seen.items()},
        gradients={n: g.float() for n, g in zip(seen, grads[: len(seen)], strict=True)},
        reads=reads,
        read_sums=sums,
    )


def _read(norm: nn.Module, stream: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient before the frozen norm, and (rows,) the stream times it."""
    flat, gradient = stream.flatten(0, 1), gradient.float().flatten(0, 1)
    with torch.no_grad():
        before = FrozenNorm.at(norm, flat).pull_back(gradient).reshape(stream.shape)
    return before, (before * stream.float()).sum((1, 2))


def _key_log_probs(layout: Layout, batch: Batch) -> Tensor:
    """Return (rows,) the log-probability of each row's one key."""
    rows, places = batch.keys
    keep = torch.zeros_like(batch.answers)
    keep[rows, places] = True
    logits = label_logits(layout.model, batch.input_ids, batch.attention_mask, keep)
    tokens = batch.key_tokens.to(logits.device)
    return logits.float().log_softmax(-1).gather(1, tokens[:, None])[:, 0]


def edges(layout: Layout, batch: Batch, traced: Trace) -> pd.DataFrame:
    """Return the edges, a row each: set, id, source, sink, effect in nats.

    The sources are the embedding at the subject's tokens (`subject`) and at all others
    (`context`), and every branch; the sinks are the branches and the `output`.
    """
    on_subject = torch.zeros(batch.input_ids.shape, device=batch.input_ids.device)
    for row, probe in enumerate(batch.probes):
        on_subject[row, list(probe.subject)] = 1
    embedding = traced.activations["embedding"]
    sources = {
        SUBJECT: embedding * on_subject[..., None],
        CONTEXT: embedding * (1 - on_subject)[..., None],
    } | {branch.name: traced.activations[branch.name] for branch in layout.branches}
    frames = []
    for name, read in traced.reads.items():
        feeding = [source for source in sources if _feeds(layout, source, name)]
        stacked = torch.stack([sources[source] for source in feeding])
        effects = torch.einsum("srtd,rtd->sr", stacked, read).cpu()
        for row, probe in enumerate(batch.probes):
            frames.append(
                pd.DataFrame(
                    {
                        "set": probe.set,
                        "id": probe.id,
                        "source": feeding,
                        "sink": name,
                        "effect": effects[:, row].numpy(),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def _feeds(layout: Layout, source: str, sink: str) -> bool:
    """Whether what `source` writes is part of what `sink` reads."""
    if sink == OUTPUT or source in (SUBJECT, CONTEXT):
        return True
    by_name = {branch.name: branch for branch in layout.branches}
    first, second = by_name[source], by_name[sink]
    within = first.kind == ATTENTION and second.kind == MLP and not second.parallel
    return first.layer < second.layer or (first.layer == second.layer and within)


def subject_saliency(batch: Batch, traced: Trace) -> pd.DataFrame:
    """Return for each probe the subject's share of the answer's saliency over the prompt.

    The saliency of a token is |gradient times embedding| (Denil et al. 2014, arXiv 1412.6815),
    along all paths. 0 to 1.
    """
    scores = (traced.activations["embedding"] * traced.gradients["embedding"]).sum(-1).abs()
    rows = []
    for row, probe in enumerate(batch.probes):
        whole = scores[row, : len(probe.example.prompt)].sum().item()
        part = scores[row, list(probe.subject)].sum().item()
        share = part / whole if whole else 0.0
        rows.append({"set": probe.set, "id": probe.id, "saliency": share})
    return pd.DataFrame(rows)


def attribution_patching(
    layout: Layout, batch: Batch, traced: Trace, target: Activations
) -> pd.DataFrame:
    """Return the first-order effect of putting the target's activations in the model's place.

    Args:
        layout: Of the model.
        batch: The batch.
        traced: The model's trace of it.
        target: The target's activations of the same batch.

    Returns:
        A row for each probe, and head (its output before the projection) or MLP (what it writes):
        set, id, kind, layer, head, effect in nats.
    """
    frames = []
    for branch in layout.branches:
        name = f"{branch.name}.heads" if branch.kind == ATTENTION else branch.name
        change = target[name] - traced.activations[name]
        effects = (change * traced.gradients[name]).sum(1)
        count = layout.heads if branch.kind == ATTENTION else 1
        per_part = effects.reshape(len(effects), count, -1).sum(-1).cpu()
        for row, probe in enumerate(batch.probes):
            frames.append(
                pd.DataFrame(
                    {
                        "set": probe.set,
                        "id": probe.id,
                        "kind": "head" if branch.kind == ATTENTION else "mlp",
                        "layer": branch.layer,
                        "head": range(count) if branch.kind == ATTENTION else -1,
                        "effect": per_part[row].numpy(),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


@torch.no_grad()
def patched_log_probs(layout: Layout, batch: Batch, replacements: Mapping[str, Tensor]) -> Tensor:
    """Return (rows,) the keys' log-probabilities with some activations replaced.

    Args:
        layout: Of the model.
        batch: Probes with one key each.
        replacements: By `embedding` or a branch's name, what stands in its place, (rows, length,
            hidden).
    """
    handles = []
    for name, value in replacements.items():
        replace = _returning(value.to(layout.model.dtype))
        if name == "embedding":
            handles.append(on_input(layout.blocks[0], replace))
        else:
            writer = next(b.writer for b in layout.branches if b.name == name)
            handles.append(on_output(writer, replace))
    with hooks(*handles):
        return _key_log_probs(layout, batch).cpu()


def _returning(value: Tensor) -> Any:
    return lambda _hidden: value


def activation_patching(
    layout: Layout, batch: Batch, target: Activations, target_log_probs: Tensor
) -> pd.DataFrame:
    """Put the target's attentions or MLPs of some layers in the model's place, window by window.

    Returns:
        A row for each probe, kind and window: set, id, kind, first_layer, last_layer, log_prob
        with the patch, and `before` and `target`, the log-probabilities without it.
    """
    before = patched_log_probs(layout, batch, {})
    frames = []
    for kind in (ATTENTION, MLP):
        for window in windows([b for b in layout.branches if b.kind == kind]):
            patch = {branch.name: target[branch.name] for branch in window}
            frames.append(
                pd.DataFrame(
                    {
                        "set": [p.set for p in batch.probes],
                        "id": [p.id for p in batch.probes],
                        "kind": kind,
                        "first_layer": window[0].layer,
                        "last_layer": window[-1].layer,
                        "log_prob": patched_log_probs(layout, batch, patch).numpy(),
                        "before": before.numpy(),
                        "target": target_log_probs.numpy(),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def windows(branches: Sequence[Branch]) -> list[Sequence[Branch]]:
    """Cut the branches into at most `WINDOWS` runs of neighbours of like size."""
    width = -(-len(branches) // WINDOWS)
    return [branches[start : start + width] for start in range(0, len(branches), width)]
