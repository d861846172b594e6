"""The plan of a training: its rows, and what becomes of them in a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from relearn.config import TrainingConfig
from relearn.data.batching import Batch, TrainingRow, collate, pack
from relearn.data.tokenization import Example
from relearn.objectives import OBJECTIVES, Objective
from relearn.training.wrappers import WRAPPERS, Wrapper


def needs_retain(config: TrainingConfig) -> bool:
    """Return whether anything of a training is about the retain rows."""
    objective = OBJECTIVES.named(config.objective)
    of_wrapper = config.wrapper is not None and WRAPPERS.named(config.wrapper).needs_retain
    regularizer = config.retain_regularizer or objective.regularizer
    return objective.needs_retain or of_wrapper or regularizer != "none"


@dataclass(frozen=True)
class TrainingPlan:
    """All that a training is, besides the model.

    Attributes:
        config: Objective and hyper-parameters.
        forget: Rows of the forget objective.
        chosen: Preferred answers, one for each of `forget`, or none.
        retain: Rows to keep; used only if something needs them.
        pad_token_id: Fills up rows that are not packed.
        checkpoints: Folder of the checkpoints.
        seed: Fixes the order of the rows, and dropout.
        autocast: Type of the products where it is not the weights'.

    Raises:
        UserError: the objective or the wrapper has no such option.
    """

    config: TrainingConfig
    forget: Sequence[Example]
    chosen: Sequence[Example]
    retain: Sequence[Example]
    pad_token_id: int
    checkpoints: Path
    seed: int
    autocast: torch.dtype | None = None

    def __post_init__(self) -> None:
        self.objective.options.check(self.config.objective_options)
        if self.wrapper:
            self.wrapper.options.check(self.config.wrapper_options)

    @cached_property
    def objective(self) -> Objective:
        """What the forget rows are trained by."""
        return OBJECTIVES.named(self.config.objective)

    @property
    def options(self) -> dict[str, Any]:
        """The objective's options before the first step."""
        return self.objective.options.defaults | self.config.objective_options

    @property
    def regularizer(self) -> str:
        """What is added on retain rows: `none`, `ce`, `kl` or `ce+kl`."""
        return self.config.retain_regularizer or self.objective.regularizer

    @property
    def retain_weight(self) -> float:
        """Factor of the regularizer's terms."""
        given = self.config.retain_weight
        return self.objective.retain_weight if given is None else given

    @property
    def wrapper(self) -> Wrapper | None:
        """What finds the part of the model that may change."""
        return WRAPPERS.named(self.config.wrapper) if self.config.wrapper else None

    @property
    def needs_retain(self) -> bool:
        """Whether anything is about the retain rows."""
        return needs_retain(self.config)

    @cached_property
    def rows(self) -> list[TrainingRow]:
        """The training set: forget rows, chosen ones, retain rows."""
        rows = [TrainingRow(i, e, is_forget=True) for i, e in enumerate(self.forget)]
        rows += [TrainingRow(len(rows) + i, e, False, True) for i, e in enumerate(self.chosen)]
        kept = self.retain if self.needs_retain else ()
        return rows + [TrainingRow(len(rows) + i, e, is_forget=False) for i, e in enumerate(kept)]

    @property
    def retained(self) -> list[TrainingRow]:
        """The retain rows."""
        return [row for row in self.rows if not (row.is_forget or row.is_chosen)]

    @property
    def referenced(self) -> list[TrainingRow]:
        """The rows for which the reference model's predictions are needed."""
        beside = self.objective.private_rows  # of rows beside private ones no reference is read
        learned = [
            row
            for row in self.rows
            if row.is_chosen or (row.is_forget and (row.example.private is not None or not beside))
        ]
        of_retained = self.objective.vocabulary_of == "retain"
        reads = self.objective.needs_reference
        return (learned if reads and not of_retained else []) + (
            self.retained if "kl" in self.regularizer or (reads and of_retained) else []
        )

    def collate(self, rows: Sequence[TrainingRow]) -> Batch:
        """Make a batch."""
        return pack(rows) if self.config.packing else collate(rows, self.pad_token_id)
