"""Token statistics of a batch, from one forward pass of the policy."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from relearn.data.batching import IGNORE, TrainingRow, collate
from relearn.models.hidden_states import layer_output
from relearn.models.label_logits import label_hidden_states, label_logits
from relearn.objectives import OBJECTIVES, Objective, TokenStatistics


class ReferenceCache:
    """The reference model's hidden states at answer tokens, computed once before training.

    With an adapter the reference is the same weights with the adapter off, never a second model;
    and since it does not change, one pass over the rows serves all epochs. Hidden states instead
    of logits: (tokens, hidden) is some hundred times smaller than (tokens, vocabulary).

    Args:
        model: The policy before training.
        adapter_off: Context in which `model` is the reference.
        rows: Those whose reference is needed.
        pad_token_id: For batching.
        batch_size: Rows of one forward pass.
        layer: Decoder layer whose output is kept; None means what goes into the output head.
    """

    def __init__(
        self,
        model: nn.Module,
        adapter_off: AbstractContextManager[Any],
        rows: Sequence[TrainingRow],
        pad_token_id: int,
        batch_size: int = 16,
        layer: int | None = None,
    ) -> None:
        self._hidden: dict[int, Tensor] = {}
        device = next(model.parameters()).device
        ordered = sorted(rows, key=lambda row: len(row.example))
        was_training = model.training
        model.eval()
        with adapter_off:
            for start in range(0, len(ordered), batch_size):
                batch = collate(ordered[start : start + batch_size], pad_token_id)
                keep = (batch["labels"] != IGNORE).to(device)
                inputs = batch["input_ids"].to(device), batch["attention_mask"].to(device)
                with _catching(model, layer, keep) as caught:
                    hidden = label_hidden_states(model, *inputs, keep)
                if layer is not None:
                    (hidden,) = caught
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


def _catching(
    model: nn.Module, layer: int | None, keep: Tensor
) -> AbstractContextManager[list[Tensor]]:
    return nullcontext([]) if layer is None else layer_output(model, layer, keep)


def token_statistics(
    model: nn.Module,
    batch: dict[str, Tensor],
    reference: ReferenceCache | None,
    objective: Objective = OBJECTIVES["sft"],
    options: Mapping[str, Any] | None = None,
    reference_layer: ReferenceCache | None = None,
) -> TokenStatistics:
    """Run the policy once over a batch of rows.

    Args:
        model: The policy.
        batch: As `relearn.data.batching.collate` makes it, on the model's device.
        reference: Where the reference's final states are, if anything asks for them.
        objective: Says what else to compute.
        options: The objective's.
        reference_layer: Where the reference's states of the objective's layer are.
    """
    options = options or {}
    labels = batch["labels"]
    keep = labels != IGNORE
    row = torch.nonzero(keep)[:, 0]
    targets = labels[keep]
    layer = objective.hidden_layer(options)
    states, cached = (None, None) if reference is None else reference.hidden(batch["index"])
    if states is not None:
        states = states.to(labels.device)
    with _catching(model, layer, keep) as caught:
        logits = label_logits(model, batch["input_ids"], batch["attention_mask"], keep, also=states)
    policy = logits[: len(targets)].float().log_softmax(-1)
    stats = TokenStatistics(
        policy.gather(1, targets[:, None])[:, 0],
        row,
        batch["is_forget"],
        is_chosen=batch["is_chosen"],
        hidden=caught[0] if caught else None,
        reference_hidden=_spread(reference_layer, batch["index"], row),
    )
    ref = None
    if states is not None and cached is not None:
        at = cached.to(labels.device)[row]
        ref = policy.new_full(policy.shape, torch.nan)
        ref[at] = logits[len(targets) :].detach().float().log_softmax(-1)
        retain = at & stats.retain_tokens
        kl = torch.full_like(stats.log_probs, torch.nan)
        kl[retain] = nn.functional.kl_div(
            policy[retain], ref[retain], reduction="none", log_target=True
        ).sum(-1)
        reference_log_probs = ref.gather(1, targets[:, None])[:, 0]
        stats = replace(stats, reference_log_probs=reference_log_probs, kl=kl)
    forget = stats.forget_tokens
    vocabulary = {}
    for name, function in objective.vocabulary_functions(options).items():
        values = torch.full_like(stats.log_probs, torch.nan)
        seen = None if ref is None or not objective.needs_reference else ref[forget]
        values[forget] = function(policy[forget], targets[forget], seen)
        vocabulary[name] = values
    return replace(stats, vocabulary=vocabulary)


def _spread(cache: ReferenceCache | None, index: Tensor, row: Tensor) -> Tensor | None:
    """Return the cached states of a batch's tokens, (tokens, hidden), NaN where there are none."""
    states, cached = (None, None) if cache is None else cache.hidden(index)
    if states is None or cached is None:
        return None
    spread = states.new_full((len(row), states.shape[1]), torch.nan).to(row.device)
    spread[cached.to(row.device)[row]] = states.to(row.device)
    return spread
