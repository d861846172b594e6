"""Token statistics of a batch, from one forward pass of the policy."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from relearn.data.batching import IGNORE, Batch, TrainingRow, to_device
from relearn.inference.length_batches import in_length_batches
from relearn.models.hidden_states import layer_count, layer_output
from relearn.models.label_logits import (
    has_plain_head,
    label_hidden_states,
    label_logits,
    output_head,
    replaced_head,
)
from relearn.models.vocabulary import Head, Wanted, vocabulary_statistics
from relearn.objectives import OBJECTIVES, Objective, TokenStatistics

Collate = Callable[[Sequence[TrainingRow]], Batch]


class ReferenceCache:
    """The reference model's hidden states at answer tokens, computed once before training.

    With an adapter the reference is the same weights with the adapter off, with full fine-tuning
    the model as it is before; never a second model. Since it does not change, one pass over the
    rows serves all epochs. Hidden states instead of logits: (tokens, hidden) is some hundred times
    smaller than (tokens, vocabulary). At the private words of a row that is also there about
    another subject, the states are those of that one.

    Args:
        model: The policy before training.
        adapter_off: Context in which `model` is the reference.
        rows: Those whose reference is needed.
        collate: Makes batches.
        batch_size: Rows of one forward pass.
        layer: Decoder layer whose output is kept; None means what goes into the output head.

    Attributes:
        head: The reference's output head where the policy's own is trained; else None.
    """

    def __init__(
        self,
        model: nn.Module,
        adapter_off: AbstractContextManager[Any],
        rows: Sequence[TrainingRow],
        collate: Collate,
        batch_size: int = 16,
        layer: int | None = None,
    ) -> None:
        device = next(model.parameters()).device
        head = cast(nn.Linear, output_head(model))
        trained = layer is None and any(p.requires_grad for p in head.parameters())
        self.head = _frozen(head) if trained else None

        def states(some: list[TrainingRow]) -> Sequence[Tensor]:
            batch = to_device(collate(some), device)
            keep = batch["labels"] != IGNORE
            with _catching(model, layer, keep) as caught:
                hidden = label_hidden_states(model, keep=keep, **_model_inputs(batch))
            if layer is not None:
                (hidden,) = caught
            counts = torch.bincount(batch["row"], minlength=len(some))
            return hidden.detach().cpu().split(counts.tolist())

        was_training = model.training
        model.eval()

        def all_states(some: Sequence[TrainingRow]) -> dict[int, Tensor]:
            found = in_length_batches(
                some, states, length=lambda row: len(row.example), size=batch_size, title=None
            )
            return {row.index: hidden for row, hidden in zip(some, found, strict=True)}

        others = [
            replace(row, example=row.example.other.example) for row in rows if row.example.other
        ]
        with adapter_off:
            self._hidden, of_others = all_states(rows), all_states(others)
        model.train(was_training)
        for row in rows:
            if row.example.other:
                places = row.example.other.places
                for here, there in places.items():
                    self._hidden[row.index][here] = of_others[row.index][there]

    def states(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Return the cached states of a batch's tokens.

        Args:
            batch: On the model's device.

        Returns:
            (cached tokens, hidden) states, and (tokens,) row of it for each of the batch's tokens,
            -1 where there is none; None if no row is cached.
        """
        cached = [self._hidden.get(int(i)) for i in batch["index"]]
        present = [states for states in cached if states is not None]
        if not present:
            return None
        row = batch["row"]
        at = torch.tensor([states is not None for states in cached]).to(row.device)[row]
        return torch.cat(present).to(row.device), torch.where(at, at.cumsum(0) - 1, -1)


def _frozen(head: nn.Linear) -> Head:
    return Head(head.weight.detach().clone(), None if head.bias is None else head.bias.clone())


def _model_inputs(batch: Batch) -> dict[str, Any]:
    names = ("input_ids", "attention_mask", "position_ids", "row_layout")
    return {"attention_mask": None} | {name: batch[name] for name in names if name in batch}


def _catching(
    model: nn.Module, layer: int | None, keep: Tensor
) -> AbstractContextManager[list[Tensor]]:
    return nullcontext([]) if layer is None else layer_output(model, layer, keep)


def token_statistics(
    model: nn.Module,
    batch: Batch,
    reference: ReferenceCache | None,
    objective: Objective = OBJECTIVES["sft"],
    options: Mapping[str, Any] | None = None,
    reference_layer: ReferenceCache | None = None,
    regularizer: str = "none",
) -> TokenStatistics:
    """Run the policy once over a batch of rows.

    A row without labels, as evens out the batches of several processes, is run like the others but
    left out of the result: an objective never sees a row that has no answer token.

    Args:
        model: The policy.
        batch: As `relearn.data.batching` makes it, on the model's device.
        reference: Where the reference's final states are, if anything asks for them.
        objective: Says what else to compute.
        options: The objective's.
        reference_layer: Where the reference's states of the objective's layer are.
        regularizer: What the loss will ask of retain rows; to be faster, not for the values.
    """
    options = options or {}
    row = batch["row"]
    keep = batch["labels"] != IGNORE
    functions = objective.vocabulary_functions(options)
    states = reference.states(batch) if reference else None
    is_retain = ~(batch["is_forget"] | batch["is_chosen"])
    # Beside private words such an objective reads log-probabilities and the KL.
    about = is_retain if objective.vocabulary_of == "retain" else batch["is_forget"]
    looked_into = batch["private"] if objective.private_rows else about[row]
    is_private = batch["is_private"][row]
    wanted = Wanted(
        batch["labels"][keep],
        reference_hidden=states[0] if states else None,
        reference_row=states[1] if states else None,
        kl=is_retain[row] | is_private,
        functions=functions,
        function_tokens=looked_into,
        function_reference=objective.needs_reference,
        expected=_expected(is_retain[row], is_private, objective, regularizer),
    )
    with _catching(model, objective.hidden_layer(options, layer_count(model)), keep) as caught:
        values = _answer_statistics(
            model, batch, keep, wanted, reference.head if reference else None
        )
    labelled = torch.bincount(row, minlength=len(is_retain)) > 0
    return TokenStatistics(
        row=(labelled.cumsum(0) - 1)[row],
        is_forget=batch["is_forget"][labelled],
        is_chosen=batch["is_chosen"][labelled],
        is_private=batch["is_private"][labelled],
        private=batch["private"],
        silent=batch["silent"],
        log_probs=values[:, 0],
        reference_log_probs=values[:, 1].detach() if reference else None,
        kl=values[:, 2] if reference else None,
        vocabulary=dict(zip(functions, values[:, 3:].unbind(1), strict=True)),
        hidden=caught[0] if caught else None,
        reference_hidden=(
            _spread(reference_layer, batch, caught[0]) if caught and reference_layer else None
        ),
    )


def _expected(retain: Tensor, private: Tensor, objective: Objective, regularizer: str) -> Tensor:
    """Return the loss's gradient by log-probability and KL up to a factor, (tokens, 2)."""
    by_forget = (0.0 if objective.needs_hidden_states else -1.0, 0.0)
    by_retain = (-float("ce" in regularizer), float("kl" in regularizer))
    kinds = torch.tensor([by_forget, by_retain, (0.0, 1.0)], device=retain.device)
    return kinds[torch.where(private, 2, retain.long())]


def _answer_statistics(
    model: nn.Module, batch: Batch, keep: Tensor, wanted: Wanted, reference_head: Head | None
) -> Tensor:
    """Return what `vocabulary_statistics` does, of the tokens whose predictions are kept."""
    inputs = _model_inputs(batch)
    if not has_plain_head(model):
        logits = label_logits(model, keep=keep, also=wanted.reference_hidden, **inputs)
        count = len(wanted.targets)
        if wanted.reference_hidden is not None:
            wanted = replace(wanted, reference_hidden=logits[count:].detach())
        return vocabulary_statistics(logits[:count], Head(None), Head(None), wanted)

    def compute(hidden: Tensor) -> Tensor:
        linear = cast(nn.Linear, output_head(model))
        head = Head(linear.weight, linear.bias)
        return vocabulary_statistics(hidden[keep], head, reference_head or head, wanted)

    # In place of the logits, so that a parallel wrapper sees what the loss depends on.
    with replaced_head(model, compute):
        return model(use_cache=False, **inputs).logits


def _spread(cache: ReferenceCache, batch: Batch, like: Tensor) -> Tensor:
    """Return the cached states of a batch's tokens, (tokens, hidden), NaN where there are none."""
    found = cache.states(batch)
    if found is None:
        return torch.full_like(like, torch.nan)
    states, at = found
    return torch.where((at >= 0)[:, None], states[at.clamp(min=0)], torch.nan)
