"""Where rows lie in a sequence that holds several of them."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import torch
from torch import Tensor


class RowLayout:
    """Where the rows of a packed sequence lie.

    Args:
        prefix: Tokens of the prefix that all rows share, at the start of the sequence; may be 0.
        lengths: Tokens of each row that follow, without the prefix.

    Attributes:
        prefix: As above.
        rows: Number of rows, the prefix among them.
        longest: Tokens of the longest.
        to_rows: (rows * longest,) token at each place of the padded batch, 0 in the padding.
        from_rows: (tokens,) place of each token in the padded batch.
    """

    def __init__(self, prefix: int, lengths: Sequence[int]) -> None:
        self.prefix = prefix
        # The prefix is a row too: one that sees itself only.
        rows = torch.tensor([prefix, *lengths] if prefix else list(lengths))
        self.longest = int(rows.max())
        self.rows = len(rows)
        starts = rows.cumsum(0) - rows
        within = torch.arange(self.longest)
        real = within < rows[:, None]
        self.to_rows = torch.where(real, starts[:, None] + within, 0).flatten()
        self.from_rows = torch.nonzero(real.flatten())[:, 0]
        self._masks: dict[Any, Tensor] = {}

    def to(self, device: torch.device) -> Self:
        """Return the layout with its indices on `device`; like a tensor's, it changes nothing."""
        moved = copy(self)
        moved.to_rows, moved.from_rows = self.to_rows.to(device), self.from_rows.to(device)
        moved._masks = {}
        return moved

    def mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """Return what to add to the scores, (rows, 1, longest, prefix + longest).

        Args:
            window: A token sees at most this many, itself among them; None for all.
            dtype: Of the scores.
        """
        key = (window, dtype)
        if key not in self._masks:
            device = self.to_rows.device
            query = self.prefix + torch.arange(self.longest, device=device)[:, None]
            distance = query - torch.arange(self.prefix + self.longest, device=device)
            seen = distance >= 0
            if window is not None:
                seen &= distance < window
            seen = seen.repeat(self.rows, 1, 1, 1)
            if self.prefix:
                seen[0, :, :, : self.prefix] = False
            mask = torch.zeros(seen.shape, dtype=dtype, device=device)
            self._masks[key] = mask.masked_fill_(~seen, torch.finfo(dtype).min)
        return self._masks[key]
