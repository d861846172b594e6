"""Batches of forget and retain rows together, grouped by length so that little is padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from relearn.data.tokenization import Example

IGNORE = -100


@dataclass(frozen=True)
class TrainingRow:
    """One row of training data.

    Attributes:
        index: Position in the training set, by which cached statistics are found.
        example: The tokens.
        is_forget: Whether the row is of the forget set.
        is_chosen: Whether its answer is preferred to that of a forget row: the k-th chosen row of
            a training set to the k-th forget row. A row that is neither is of the retain set.
    """

    index: int
    example: Example
    is_forget: bool
    is_chosen: bool = False


class MixedBatchSampler(Sampler[list[int]]):
    """Batches with forget and retain rows of like length, in an order fixed by seed and epoch.

    Every forget row comes once an epoch, its chosen row with it. Retain rows come in the stated
    ratio, each as often as any other, give or take one.

    Args:
        rows: The training set.
        forget_per_batch: Forget rows of a batch; the last batch may have fewer.
        retain_per_batch: Retain rows of a batch.
        seed: With the epoch it fixes the order.
    """

    # Rows are sorted by length within blocks of this many batches: enough to group well, few
    # enough that the order of the data stays random.
    BLOCK = 16

    def __init__(
        self, rows: Sequence[TrainingRow], forget_per_batch: int, retain_per_batch: int, seed: int
    ) -> None:
        self.lengths = np.array([len(row.example) for row in rows])
        self.forget = np.flatnonzero([row.is_forget for row in rows])
        self.retain = np.flatnonzero([not (row.is_forget or row.is_chosen) for row in rows])
        chosen = np.flatnonzero([row.is_chosen for row in rows])
        pairs = zip(self.forget.tolist(), chosen.tolist(), strict=True) if len(chosen) else ()
        self.chosen = dict(pairs)
        self.forget_per_batch = forget_per_batch
        self.retain_per_batch = retain_per_batch if len(self.retain) else 0
        self.batch_size = forget_per_batch + self.retain_per_batch
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.forget) // self.forget_per_batch)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        forget = self._grouped(rng.permutation(self.forget), self.forget_per_batch)
        needed = len(self) * self.retain_per_batch
        repeats = -(-needed // max(len(self.retain), 1))
        cycle = [rng.permutation(self.retain) for _ in range(repeats)]
        retain = np.concatenate([*cycle, self.retain[:0]])[:needed]
        retain = self._grouped(retain, self.retain_per_batch)
        for batch in rng.permutation(len(self)):
            forgotten = _slice(forget, batch, self.forget_per_batch)
            yield [
                *forgotten,
                *(self.chosen[i] for i in forgotten if self.chosen),
                *_slice(retain, batch, self.retain_per_batch),
            ]

    def _grouped(self, indices: np.ndarray, per_batch: int) -> np.ndarray:
        """Sort blocks of `indices` by length."""
        block = max(self.BLOCK * per_batch, 1)
        return np.concatenate(
            [
                part[np.argsort(self.lengths[part], kind="stable")]
                for part in (indices[i : i + block] for i in range(0, len(indices), block))
            ]
            or [indices]
        )


def _slice(indices: np.ndarray, batch: int, per_batch: int) -> list[int]:
    return [int(i) for i in indices[batch * per_batch : (batch + 1) * per_batch]]


def collate(rows: Sequence[TrainingRow], pad_token_id: int) -> dict[str, Tensor]:
    """Pad rows on the right to the longest.

    Returns:
        `input_ids`, `attention_mask`, `labels` of shape (rows, length), where `labels` holds at
        each position the *next* token if that is an answer's, else -100; `index`, `is_forget`
        and `is_chosen` of shape (rows,).
    """
    length = max(len(row.example) for row in rows)
    input_ids = torch.full((len(rows), length), pad_token_id)
    attention_mask = torch.zeros((len(rows), length), dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORE)
    for i, row in enumerate(rows):
        prompt, answer = row.example.prompt, row.example.answer
        input_ids[i, : len(row.example)] = torch.tensor(prompt + answer)
        attention_mask[i, : len(row.example)] = 1
        labels[i, len(prompt) - 1 : len(row.example) - 1] = torch.tensor(answer)
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "labels": labels,
        "index": torch.tensor([row.index for row in rows]),
        "is_forget": torch.tensor([row.is_forget for row in rows]),
        "is_chosen": torch.tensor([row.is_chosen for row in rows]),
    }
