"""One forward pass over the probes that feeds every analysis that watches it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from relearn.analysis.layout import Layout
from relearn.analysis.probes import Batch, Probe, batches
from relearn.base.progress import progress_bar
from relearn.models.hooks import hooks
from relearn.models.label_logits import label_hidden_states

Tables = dict[str, pd.DataFrame]


class Observer(Protocol):
    """What watches the forward passes of one model."""

    def hooks(self, batch: Batch) -> list[Any]:
        """Return hooks for the pass over `batch`; they are removed after it."""

    def see(self, batch: Batch, logits: Tensor) -> None:
        """Take up a batch.

        Args:
            batch: The batch.
            logits: (answer tokens, vocabulary) float32, rows in order.
        """

    def tables(self) -> Tables:
        """Return the tables of all batches."""


@torch.no_grad()
def observe(
    layout: Layout,
    probes: Sequence[Probe],
    observers: Sequence[Observer],
    *,
    rows: int,
    pad_token_id: int,
    title: str | None,
) -> None:
    """Run the model over the probes, `rows` at a time, each row once."""
    done = 0
    with progress_bar(title) as advance:
        for batch in batches(probes, rows, pad_token_id, layout.model.device):
            with hooks(*(hook for o in observers for hook in o.hooks(batch))):
                normed = label_hidden_states(
                    layout.model, batch.input_ids, batch.attention_mask, batch.answers
                )
            logits = layout.logits(normed)
            for observer in observers:
                observer.see(batch, logits)
            done += len(batch.probes)
            advance(done, len(probes), "")


def key_rows(batch: Batch) -> dict[str, list[Any]]:
    """Return the columns that name the batch's keys: set, id, place in the answer."""
    pairs = [(probe, key) for probe in batch.probes for key in probe.keys]
    return {
        "set": [probe.set for probe, _ in pairs],
        "id": [probe.id for probe, _ in pairs],
        "place": [key for _, key in pairs],
    }


def long_rows(
    keys: Mapping[str, Sequence[Any]],
    parts: Mapping[str, Sequence[Any]],
    values: Tensor,
    name: str,
) -> pd.DataFrame:
    """Return a row for each part and key, from a matrix (parts, keys) of values.

    Args:
        keys: Columns of the keys.
        parts: Columns of the parts.
        values: The matrix.
        name: The values' column.
    """
    count_parts, count_keys = values.shape
    rows: dict[str, Any] = {column: list(entries) * count_parts for column, entries in keys.items()}
    rows |= {column: np.repeat(list(entries), count_keys) for column, entries in parts.items()}
    return pd.DataFrame(rows | {name: values.flatten().numpy()})


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the frames as one."""
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
