"""One forward pass over the probes that feeds every analysis that watches it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from relearn.analysis.layout import Layout
from relearn.analysis.probes import Batch, Probe, batches
from relearn.base.distributed import shared_out
from relearn.base.progress import progress_bar
from relearn.models.hooks import hooks
from relearn.models.label_logits import label_hidden_states

Tables = dict[str, pd.DataFrame]


class Observer(Protocol):
    """What watches the forward passes of one model.

    Attributes:
        seen: What `see` returned of each batch, in order; `observe` fills it.
    """

    seen: list[Any]

    def hooks(self, batch: Batch) -> list[Any]:
        """Return hooks for the pass over `batch`; they are removed after it."""

    def see(self, batch: Batch, logits: Tensor) -> Any:
        """Return what is to be known of a batch, which another process may have to be sent.

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
    """Run the model over the probes, `rows` at a time, each row once; processes share batches."""
    several = list(batches(probes, rows, pad_token_id, layout.model.device))
    with progress_bar(title) as advance:

        def seen(batch: Batch) -> list[Any]:
            with hooks(*(hook for o in observers for hook in o.hooks(batch))):
                normed = label_hidden_states(
                    layout.model, batch.input_ids, batch.attention_mask, batch.answers
                )
            logits = layout.logits(normed)
            found = [observer.see(batch, logits) for observer in observers]
            advance(batch.number + 1, len(several), "")
            return found

        for of_batch in shared_out(seen, several):
            for observer, found in zip(observers, of_batch, strict=True):
                observer.seen.append(found)


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


def joined_tables(several: Sequence[Tables]) -> Tables:
    """Return the tables of all batches, those of one name as one."""
    names = dict.fromkeys(name for tables in several for name in tables)
    return {name: joined([t[name] for t in several if name in t]) for name in names}
