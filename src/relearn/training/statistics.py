"""Token statistics of a batch, from one forward pass of the policy."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from relearn.data.batching import IGNORE, TrainingRow, collate
from relearn.models.label_logits import label_hidden_states, label_logits
from relearn.objectives import TokenStatistics


class ReferenceCache:
    """The reference model's final hidden states at answer tokens, computed once before training.

    With an adapter the reference is the same weights with the adapter off, never a second model;
    and since it does not change, one pass over the rows serves all epochs. Hidden states instead
    of logits: (tokens, hidden) is some hundred times smaller than (tokens, vocabulary).

    Args:
        model: The policy before training.
        adapter_off: Context in which `model` is the reference.
        rows: Those whose reference is needed.
        pad_token_id: For batching.
        batch_size: Rows of one forward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        adapter_off: AbstractContextManager[Any],
        rows: Sequence[TrainingRow],
        pad_token_id: int,
        batch_size: int = 16,
    ) -> None:
        self._hidden: dict[int, Tensor] = {}
        device = next(model.parameters()).device
        ordered = sorted(rows, key=lambda row: len(row.example))
        was_training = model.training
        model.eval()
        with adapter_off:
            for start in range(0, len(ordered), batch_size):
                batch = collate(ordered[start : start + batch_size], pad_token_id)
                keep = batch["labels"] != IGNORE
                hidden = label_hidden_states(
                    model,
                    batch["input_ids"].to(device),
                    batch["attention_mask"].to(device),
                    keep.to(device),
                )
                pieces = hidden.cpu().split(keep.sum(1).tolist())
                self._hidden |= dict(zip(batch["index"].tolist(), pieces, strict=True))
        model.train(was_training)

    def hidden(self, index: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the cached states of a batch.

        Args:
            index: (rows,) indices of training rows.

        Returns:
            (tokens, hidden) states of those rows that are cached, None if none is; and (rows,)
            whether each is.
        """
        cached = [self._hidden.get(int(i)) for i in index]
        present = [states for states in cached if states is not None]
        return (
            torch.cat(present) if present else None,
            torch.tensor([states is not None for states in cached]),
        )


def token_statistics(
    model: nn.Module, batch: dict[str, Tensor], reference: ReferenceCache | None
) -> TokenStatistics:
    """Run the policy once over a batch of forget and retain rows.

    Args:
        model: The policy.
        batch: As `relearn.data.batching.collate` makes it, on the model's device.
        reference: Where the reference's states are, if the objective needs any.
    """
    labels = batch["labels"]
    keep = labels != IGNORE
    row = torch.nonzero(keep)[:, 0]
    targets = labels[keep]
    states, cached = (None, None) if reference is None else reference.hidden(batch["index"])
    if states is not None:
        states = states.to(labels.device)
    logits = label_logits(model, batch["input_ids"], batch["attention_mask"], keep, also=states)
    policy = logits[: len(targets)].float().log_softmax(-1)
    log_probs = policy.gather(1, targets[:, None])[:, 0]
    if states is None or cached is None:
        return TokenStatistics(log_probs, row, batch["is_forget"])

    at = cached.to(labels.device)[row]
    with torch.no_grad():
        ref = logits[len(targets) :].float().log_softmax(-1)
        reference_log_probs = torch.full_like(log_probs, torch.nan)
        reference_log_probs[at] = ref.gather(1, targets[at][:, None])[:, 0]
    # Only retain rows are regularized, so only theirs is worth a sum over the vocabulary.
    retain = ~batch["is_forget"][row]
    kl = torch.full_like(log_probs, torch.nan)
    kl[at & retain] = nn.functional.kl_div(
        policy[at & retain], ref[retain[at]], reduction="none", log_target=True
    ).sum(-1)
    return TokenStatistics(log_probs, row, batch["is_forget"], reference_log_probs, kl)
