"""Token statistics of a batch in a training loop of one's own, from the model's logits."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from relearn.base.errors import UserError
from relearn.objectives.base import OBJECTIVES, Objective, TokenStatistics

_IGNORE = -100


def statistics_from_logits(
    logits: Tensor,
    labels: Tensor,
    is_forget: Tensor,
    *,
    is_chosen: Tensor | None = None,
    reference_logits: Tensor | None = None,
    hidden: Tensor | None = None,
    reference_hidden: Tensor | None = None,
    objective: str | Objective | None = None,
    options: Mapping[str, Any] | None = None,
) -> TokenStatistics:
    """Return what objectives are functions of, for a batch of `input_ids` and `labels`.

        logits = model(input_ids=ids, attention_mask=mask).logits
        stats = statistics_from_logits(logits, labels, is_forget, reference_logits=reference)
        loss = relearn.objectives.npo(stats, beta=0.1)

    Args:
        logits: (rows, length, vocabulary) of the policy.
        labels: (rows, length) as transformers has them: at each position its own token, -100 where
            no answer is. They are shifted here.
        is_forget: (rows,) whether a row is of the forget set; the others are retain rows.
        is_chosen: (rows,) whether a row is a preferred answer, for objectives on pairs: the k-th of
            them is preferred to the k-th forget row. None means no row is.
        reference_logits: (rows, length, vocabulary) of the model before unlearning, for objectives
            with a reference and for `kl`; without a gradient.
        hidden: (rows, length, hidden) output of the decoder layer that RMU reads.
        reference_hidden: The same of the reference.
        objective: The objective that will read the statistics, if it looks at the whole
            distribution of a token, as `ceu`, `jensun`, `pdu` and `undial` do.
        options: Of that objective.

    Raises:
        UserError: the shapes don't go together, or there is no such objective.
    """
    rows, length = labels.shape
    if logits.shape[:2] != (rows, length) or len(is_forget) != rows:
        raise UserError(
            f"logits {tuple(logits.shape)}, labels {tuple(labels.shape)} and is_forget "
            f"{tuple(is_forget.shape)} are not of the same rows.",
            "Give (rows, length, vocabulary), (rows, length) and (rows,).",
        )
    if isinstance(objective, str):
        objective = OBJECTIVES.named(objective)
    is_forget = is_forget.to(labels.device, torch.bool)
    following = labels[:, 1:]
    keep = following != _IGNORE
    targets, row = following[keep], keep.nonzero()[:, 0]

    def at_labels(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[:, :-1][keep]

    log_probs = logits[:, :-1][keep].float().log_softmax(-1)
    before = at_labels(reference_logits)
    reference = None if before is None else before.detach().float().log_softmax(-1)
    functions = objective.vocabulary_functions(options or {}) if objective else {}
    return TokenStatistics(
        row=row,
        is_forget=is_forget,
        is_chosen=None if is_chosen is None else is_chosen.to(labels.device, torch.bool),
        log_probs=_of(log_probs, targets),
        reference_log_probs=None if reference is None else _of(reference, targets),
        kl=None if reference is None else (reference.exp() * (reference - log_probs)).sum(-1),
        vocabulary={name: f(log_probs, targets, reference) for name, f in functions.items()},
        hidden=at_labels(hidden),
        reference_hidden=at_labels(reference_hidden),
    )


def _of(log_probs: Tensor, targets: Tensor) -> Tensor:
    return log_probs.gather(1, targets[:, None])[:, 0]
