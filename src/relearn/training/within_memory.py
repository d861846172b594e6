"""A micro-batch that does not fit into memory is computed in halves, to the same loss."""

from collections.abc import Sequence
from typing import Self

from torch import Tensor, nn

from relearn.data.batching import TrainingRow


def halves(rows: Sequence[TrainingRow]) -> tuple[list[TrainingRow], list[TrainingRow]] | None:
    """Share out a batch's rows over two batches; None if it can't be parted.

    The loss's terms are sums, so that two halves have together what the whole has. A chosen row
    stays beside the forget row that it is preferred to.
    """
    forget = [row for row in rows if row.is_forget]
    chosen = [row for row in rows if row.is_chosen]
    pairs = [list(pair) for pair in zip(forget, chosen, strict=True)] if chosen else []
    kept = [[row] for row in rows if not row.is_chosen and not (chosen and row.is_forget)]
    groups = [*pairs, *kept]
    if len(groups) < 2:
        return None
    middle = len(groups) // 2
    first, second = (
        sorted((row for group in part for row in group), key=_kind)
        for part in (groups[:middle], groups[middle:])
    )
    return first, second


def _kind(row: TrainingRow) -> int:
    return 0 if row.is_forget else 1 if row.is_chosen else 2


class Gradients:
    """What the gradients are before a micro-batch, to go back to.

    Args:
        parameters: What is trained. Between optimizer steps its gradients are None, which costs
            nothing to keep; within one they are copied.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._trained = parameters
        self._before: list[Tensor | None] = [
            None if p.grad is None else p.grad.clone() for p in parameters
        ]

    @classmethod
    def kept(cls, model: nn.Module) -> Self | None:
        """Keep a model's gradients; None where the copy would be as large as most of the model."""
        everything = list(model.parameters())
        trained = [p for p in everything if p.requires_grad]
        copied = sum(p.grad.numel() for p in trained if p.grad is not None)
        if 2 * copied > sum(p.numel() for p in everything):
            return None
        return cls(trained)

    def restore(self) -> None:
        """Let the gradients be as they were."""
        for parameter, gradient in zip(self._trained, self._before, strict=True):
            parameter.grad = gradient
