"""Knowledge memory: what is known at which depth, and how far the hidden states moved.

The logit lens (nostalgebraist 2020) reads the residual stream after every block through the final
norm and the output head, as if the model ended there.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from relearn.analysis.distribution import entropy, kl, rank_of
from relearn.analysis.layout import Layout
from relearn.analysis.observe import Tables, joined, key_rows
from relearn.analysis.probes import Batch
from relearn.models.hooks import on_input, on_output

DECODABLE_RANK = 10
_LENS_ROWS = 256
_PLACES = 10


def stream_hooks(layout: Layout, keep: Any, states: list[Tensor]) -> list[Any]:
    """Return hooks that append to `states` what `keep` takes of the residual stream.

    It is taken before the first block and after every block: layers + 1 times in all.
    """

    def see(hidden: Tensor) -> None:
        states.append(keep(hidden.detach()))

    return [on_input(layout.blocks[0], see), *(on_output(block, see) for block in layout.blocks)]


class LogitLens:
    """The logit lens at the keys.

    Args:
        layout: Of the model.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._states: list[Tensor] = []
        self.seen: list[pd.DataFrame] = []

    def hooks(self, batch: Batch) -> list[Any]:
        """Watch the residual stream at the keys."""
        rows, places = batch.keys
        self._states.clear()
        return stream_hooks(self._layout, lambda hidden: hidden[rows, places], self._states)

    def see(self, batch: Batch, logits: Tensor) -> pd.DataFrame:
        """Return the rows of one batch."""
        tokens = batch.key_tokens
        if not len(tokens):
            return pd.DataFrame()
        frames = []
        final = lens_log_probs(self._layout, self._states[-1])
        per_group = max(1, _LENS_ROWS // len(tokens))
        for start in range(0, len(self._states), per_group):
            group = self._states[start : start + per_group]
            log_probs = lens_log_probs(self._layout, torch.cat(group))
            for layer, values in enumerate(log_probs.split(len(tokens)), start):
                frames.append(self._rows(batch, layer, values, final, tokens))
        return joined(frames)

    def _rows(
        self, batch: Batch, layer: int, log_probs: Tensor, final: Tensor, tokens: Tensor
    ) -> pd.DataFrame:
        return pd.DataFrame(
            {
                **key_rows(batch),
                "layer": layer,
                "log_prob": log_probs.gather(1, tokens[:, None])[:, 0].numpy(),
                "rank": rank_of(log_probs, tokens).numpy(),
                "entropy": entropy(log_probs).numpy(),
                "kl_to_output": kl(final, log_probs).numpy(),
                "best": log_probs.argmax(-1).numpy(),
            }
        )

    def tables(self) -> Tables:
        """Return `lens`: a row for each key and layer; layer 0 is the embedding."""
        return {"lens": joined(self.seen)}


def lens_log_probs(layout: Layout, hidden: Tensor) -> Tensor:
    """Return the log-probabilities (n, vocabulary) that residual states (n, hidden) stand for."""
    normed = layout.final_norm(hidden)
    parts = [layout.logits(part) for part in normed.split(_LENS_ROWS)]
    return torch.cat(parts).log_softmax(-1).cpu()


class States:
    """The residual stream at some answer tokens of every probe, compared with the target's.

    Args:
        layout: Of the model.
        target: (layers + 1, tokens, hidden) of the target; None if this is the target.
    """

    def __init__(self, layout: Layout, target: Tensor | None) -> None:
        self._layout = layout
        self._target = target
        self._current: list[Tensor] = []
        self.seen: list[tuple[Tensor, list[str]]] = []

    def hooks(self, batch: Batch) -> list[Any]:
        """Watch the residual stream at the chosen tokens."""
        chosen = [(row, p.place(k)) for row, p in enumerate(batch.probes) for k in _spread(p)]
        rows, places = (torch.tensor(each) for each in zip(*chosen, strict=True))
        self._current.clear()
        return stream_hooks(self._layout, lambda hidden: hidden[rows, places].cpu(), self._current)

    def see(self, batch: Batch, logits: Tensor) -> tuple[Tensor, list[str]]:
        """Return (layers + 1, tokens, hidden) states of one batch, and the set of each token."""
        return torch.stack(self._current), [p.set for p in batch.probes for _ in _spread(p)]

    @property
    def states(self) -> Tensor:
        """(layers + 1, tokens, hidden), in the model's own precision."""
        return torch.cat([states for states, _ in self.seen], dim=1)

    def tables(self) -> Tables:
        """Return `states`: a row for each set and layer."""
        ours = self.states
        theirs = ours if self._target is None else self._target
        rows = []
        sets = [name for _, names in self.seen for name in names]
        for name in dict.fromkeys(sets):
            places = torch.tensor([set_name == name for set_name in sets])
            for layer, (x, y) in enumerate(zip(theirs, ours, strict=True)):
                compared = compare_states(x[places].float(), y[places].float())
                rows.append({"set": name, "layer": layer} | compared)
        return {"states": pd.DataFrame(rows)}


def _spread(probe: Any) -> Sequence[int]:
    """Return at most `_PLACES` places of the answer, evenly spread."""
    length = len(probe.example.answer)
    count = min(length, _PLACES)
    return [place * length // count for place in range(count)]


def compare_states(target: Tensor, other: Tensor) -> dict[str, float]:
    """Compare hidden states (tokens, hidden) of two models at the same tokens.

    Returns:
        `cka`: debiased linear CKA, see `cka`; `cosine`: mean cosine similarity of the pairs, -1 to
        1; `pca_similarity`: absolute cosine of the two first principal directions, 0 to 1;
        `pca_shift`: distance of the two means along the target's first principal direction, in
        standard deviations of the target's states along it, 0 up (both after Xu et al. 2025,
        arXiv 2505.16831, who leave the shift in raw units).
    """
    mean = target.mean(0)
    first, spread = _principal(target)
    return {
        "cka": cka(target, other),
        "cosine": torch.cosine_similarity(target, other, dim=-1).mean().item(),
        "pca_similarity": min(1.0, (first @ _principal(other)[0]).abs().item()),
        "pca_shift": ((other.mean(0) - mean) @ first).abs().item() / max(spread, 1e-12),
    }


def _principal(states: Tensor) -> tuple[Tensor, float]:
    """Return the first principal direction (hidden,) and the standard deviation along it."""
    centred = states - states.mean(0)
    # From the smaller of the two matrices with the same spectrum: a token for each row is few.
    values, vectors = torch.linalg.eigh((centred @ centred.T).double())
    direction = centred.T @ vectors[:, -1].float()
    spread = (values[-1].clamp_min(0) / max(len(states) - 1, 1)).sqrt().item()
    return direction / direction.norm().clamp_min(1e-12), spread


def cka(x: Tensor, y: Tensor) -> float:
    """Return the linear centred kernel alignment of (n, p) and (n, q), n > 3; 1 if alike.

    With the unbiased estimator of HSIC, so that it does not drift to 1 where there are fewer rows
    than dimensions; it can fall slightly below 0.

    Source: Kornblith et al. 2019, Similarity of Neural Network Representations Revisited; Song et
    al. 2012, Feature Selection via Dependence Maximization, equation 5.
    """
    if len(x) < 4:
        return float("nan")
    k, m = (_gram(each) for each in (x, y))
    both = (_hsic(k, k) * _hsic(m, m)).clamp_min(1e-30).sqrt()
    return (_hsic(k, m) / both).item()


def _gram(states: Tensor) -> Tensor:
    states = (states - states.mean(0)).double()
    return (states @ states.T).fill_diagonal_(0)


def _hsic(k: Tensor, m: Tensor) -> Tensor:
    n = len(k)
    sums = k.sum() * m.sum() / ((n - 1) * (n - 2))
    return ((k * m).sum() + sums - 2 / (n - 2) * (k.sum(0) @ m.sum(0))) / (n * (n - 3))
