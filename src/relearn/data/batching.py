"""Batches of forget and retain rows together, packed, or grouped by length and padded."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from relearn.data.row_layout import RowLayout
from relearn.data.tokenization import Example

IGNORE = -100

Batch = Mapping[str, Any]
"""What `collate` or `pack` makes of some rows: tensors, and where it is packed, a `RowLayout`."""


def to_device(batch: Batch, device: torch.device) -> dict[str, Any]:
    """Return the batch with everything in it on `device`, the layout of a packed one too."""
    return {
        name: value.to(device) if isinstance(value, Tensor | RowLayout) else value
        for name, value in batch.items()
    }


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of training data.

    Attributes:
        index: Position in the training set, by which cached statistics are found; negative for a
            row without labels, of which there are none.
        example: The tokens.
        is_forget: Whether the row is of the forget set.
        is_chosen: Whether its answer is preferred to that of a forget row: the k-th chosen row of
            a training set to the k-th forget row. A row that is neither is of the retain set.
    """

    index: int
    example: Example
    is_forget: bool
    is_chosen: bool = False


class TrainingRows(Sequence[TrainingRow]):
    """The training set; row -1 - i is row i with no label, which no loss sees.

    Args:
        rows: In order of their index.
    """

    def __init__(self, rows: Sequence[TrainingRow]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> TrainingRow:  # type: ignore[override]
        if index >= 0:
            return self.rows[index]
        row = self.rows[-1 - index]
        prompt = row.example.prompt + row.example.answer
        return replace(row, index=index, example=Example(prompt, []))


class MixedBatchSampler(Sampler[list[int]]):
    """Batches with forget and retain rows of like length, in an order fixed by seed and epoch.

    Every forget row comes once an epoch, its chosen row with it. Retain rows come in the stated
    ratio, each as often as any other, give or take one; where that is no whole number for each
    batch, they are spread over the batches, and their number in an epoch is rounded up.

    Args:
        rows: The training set.
        forget_per_batch: Forget rows of a batch; the last batch may have fewer.
        retain_per_batch: Retain rows of a batch, on average.
        seed: With the epoch it fixes the order.
        grouped: Put rows of like length together.
        process: Which of several processes this is: it gets every `processes`-th batch.
        processes: How many there are; all get equally many batches, the last ones perhaps one of a
            row without labels.
    """

    # Rows are sorted by length within blocks of this many batches: enough to group well, few
    # enough that the order of the data stays random.
    BLOCK = 16

    def __init__(
        self,
        rows: Sequence[TrainingRow],
        forget_per_batch: int,
        retain_per_batch: float,
        seed: int,
        grouped: bool = True,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.lengths = np.array([len(row.example) for row in rows])
        self.forget = np.flatnonzero([row.is_forget for row in rows])
        self.retain = np.flatnonzero([not (row.is_forget or row.is_chosen) for row in rows])
        chosen = np.flatnonzero([row.is_chosen for row in rows])
        pairs = zip(self.forget.tolist(), chosen.tolist(), strict=True) if len(chosen) else ()
        self.chosen = dict(pairs)
        self.forget_per_batch = forget_per_batch
        self.retain_per_batch = retain_per_batch if len(self.retain) else 0
        self.batch_size = forget_per_batch + math.ceil(self.retain_per_batch)
        self.seed = seed
        self.grouped = grouped
        self.process, self.processes = process, processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self._batches // self.processes)

    @property
    def _batches(self) -> int:
        return -(-len(self.forget) // self.forget_per_batch)

    def __iter__(self) -> Iterator[list[int]]:
        unlabelled = [-1 - int(self.forget[0])]
        everything = chain(self._all(), repeat(unlabelled, len(self) * self.processes))
        return islice(everything, self.process, len(self) * self.processes, self.processes)

    def _all(self) -> Iterator[list[int]]:
        """Yield the batches of all processes."""
        rng = np.random.default_rng((self.seed, self.epoch))
        forget = self._grouped(rng.permutation(self.forget), self.forget_per_batch)
        # Rounded first, since 0.1 * 30 is a little more than 3.
        until = np.ceil(np.round(np.arange(self._batches + 1) * self.retain_per_batch, 6))
        needed = int(until[-1])
        repeats = -(-needed // max(len(self.retain), 1))
        cycle = [rng.permutation(self.retain) for _ in range(repeats)]
        retain = np.concatenate([*cycle, self.retain[:0]])[:needed]
        retain = self._grouped(retain, math.ceil(self.retain_per_batch))
        order = rng.permutation(self._batches)
        counts = np.zeros(self._batches, dtype=int)
        counts[order] = np.diff(until)  # evenly over the batches in the order that they come in
        starts = counts.cumsum() - counts
        for batch in order:
            first = batch * self.forget_per_batch
            forgotten = forget[first : first + self.forget_per_batch].tolist()
            yield [
                *forgotten,
                *(self.chosen[i] for i in forgotten if self.chosen),
                *retain[starts[batch] : starts[batch] + counts[batch]].tolist(),
            ]

    def _grouped(self, indices: np.ndarray, per_batch: int) -> np.ndarray:
        """Sort blocks of `indices` by length, if so asked."""
        if not self.grouped:
            return indices
        block = max(self.BLOCK * per_batch, 1)
        return np.concatenate(
            [
                part[np.argsort(self.lengths[part], kind="stable")]
                for part in (indices[i : i + block] for i in range(0, len(indices), block))
            ]
            or [indices]
        )


def collate(rows: Sequence[TrainingRow], pad_token_id: int) -> dict[str, Tensor]:
    """Pad rows on the right to the longest.

    Returns:
        `input_ids`, `attention_mask`, `labels` of shape (rows, length), where `labels` holds at
        each position the *next* token if that is an answer's, else -100; `index`, `is_forget`,
        `is_chosen` and `is_private` of shape (rows,); of shape (labels,) `row`, the row of each
        label, `private`, whether it begins a private word, and `silent`, whether nothing is
        learned there.
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
        **_about(rows),
    }


def pack(rows: Sequence[TrainingRow]) -> dict[str, Any]:
    """Put rows one behind the other in one sequence, what they all begin with once at its start.

    Returns:
        `input_ids`, `position_ids`, `labels` of shape (1, tokens), `labels` as in `collate`;
        `row_layout`; and about the rows what `collate` returns.
    """
    first = rows[0].example.prompt
    # The first label stands at the prompt's last token, which therefore is each row's own.
    start = _shared([row.example.prompt[:-1] for row in rows]) if len(rows) > 1 else 0
    ids, positions, labels = first[:start], list(range(start)), [IGNORE] * start
    for row in rows:
        prompt, answer = row.example.prompt, row.example.answer
        ids = ids + (prompt + answer)[start:]
        positions += range(start, len(row.example))
        unlabelled = [IGNORE] * (len(prompt) - 1 - start)
        labels += unlabelled + answer + [IGNORE]
    layout = RowLayout(start, [len(row.example) - start for row in rows])
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "labels": torch.tensor([labels]),
        "row_layout": layout,
        **_about(rows),
    }


def _shared(sequences: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all sequences begin with."""
    shortest = min(map(len, sequences))
    differing = (i for i in range(shortest) if len({tokens[i] for tokens in sequences}) > 1)
    return next(differing, shortest)


def _about(rows: Sequence[TrainingRow]) -> dict[str, Tensor]:
    answers = torch.tensor([len(row.example.answer) for row in rows])
    return {
        "row": torch.arange(len(rows)).repeat_interleave(answers),
        "index": torch.tensor([row.index for row in rows]),
        "is_forget": torch.tensor([row.is_forget for row in rows]),
        "is_chosen": torch.tensor([row.is_chosen for row in rows]),
        "is_private": torch.tensor([row.example.private is not None for row in rows]),
        "private": _marked(rows, [row.example.private or frozenset() for row in rows]),
        "silent": _marked(rows, [row.example.silent for row in rows]),
    }


def _marked(rows: Sequence[TrainingRow], places: Sequence[frozenset[int]]) -> Tensor:
    """Return which of the rows' answer tokens are at these places of their answers, (tokens,)."""
    marks = [
        i in marked
        for row, marked in zip(rows, places, strict=True)
        for i in range(len(row.example.answer))
    ]
    return torch.tensor(marks, dtype=torch.bool)
