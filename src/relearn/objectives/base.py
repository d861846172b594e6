"""What an objective is: a function from token statistics to the terms of a loss.

The engine runs the model once over forget and retain rows together and hands the statistics over;
an objective never sees the model. It returns sums together with what they are averaged over, so
that the engine can average over a whole optimizer step: the result does not depend on how the
step is split into micro-batches or ranks.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from relearn.errors import UserError
from relearn.registry import Registry

Unit = Literal["forget_tokens", "retain_tokens", "forget_rows", "retain_rows"]


@dataclass(frozen=True)
class TokenStatistics:
    """What the model says about the answer tokens of one batch, all rows' tokens in one line.

    Attributes:
        log_probs: (tokens,) log-probability of each answer token under the policy, in nats, <= 0.
        row: (tokens,) index of the row that each token belongs to, ascending.
        is_forget: (rows,) whether a row is of the forget set.
        reference_log_probs: (tokens,) the same under the reference model, where it was asked for;
            NaN on rows whose reference was not.
        kl: (tokens,) KL(reference || policy) over the vocabulary, >= 0, likewise.
    """

    log_probs: Tensor
    row: Tensor
    is_forget: Tensor
    reference_log_probs: Tensor | None = None
    kl: Tensor | None = None

    @property
    def forget_tokens(self) -> Tensor:
        """(tokens,) whether a token is of a forget row."""
        return self.is_forget[self.row]

    def row_sums(self, values: Tensor) -> Tensor:
        """Sum (tokens,) `values` over the tokens of each row, to (rows,)."""
        return values.new_zeros(len(self.is_forget)).index_add(0, self.row, values)

    def row_lengths(self) -> Tensor:
        """Return the number of answer tokens of each row, (rows,)."""
        return torch.bincount(self.row, minlength=len(self.is_forget))


@dataclass(frozen=True)
class Term:
    """One named part of a loss: weight * sum(values) / number of `unit` in the optimizer step.

    Attributes:
        name: For the logs.
        values: (n,) one value for each token or row of the batch that the term is about.
        unit: What the sum is divided by the number of.
        weight: Factor in the loss; logs show the term without it.
    """

    name: str
    values: Tensor
    unit: Unit
    weight: float = 1.0


@dataclass(frozen=True)
class Objective:
    """A forget objective.

    Attributes:
        terms: The formula; its keyword arguments are the objective's options.
        forget_data: Which rows it trains on: the synthesized ones or the user's own.
        needs_reference: Whether it reads the reference model on forget rows.
        regularizer: What is added on retain rows unless the configuration says otherwise.
    """

    terms: Callable[..., list[Term]]
    forget_data: Literal["synthesized", "original"] = "original"
    needs_reference: bool = False
    regularizer: Literal["none", "ce", "kl", "ce+kl"] = "none"

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.terms.__doc__

    def check_options(self, options: dict[str, Any]) -> None:
        """Refuse options that the formula does not have.

        Raises:
            UserError: names the option and those there are.
        """
        known = list(inspect.signature(self.terms).parameters)[1:]
        for name in options:
            if name not in known:
                raise UserError(
                    f"training.objective_options: {name!r} is no option of this objective.",
                    f"Known: {', '.join(known) or 'none'}.",
                )


OBJECTIVES: Registry[Objective] = Registry("objective")


def objective(name: str, **declarations: Any) -> Callable[[Callable[..., list[Term]]], Objective]:
    """Return a decorator that registers a formula as the objective `name`.

    Args:
        name: In configuration files.
        **declarations: The fields of `Objective`.
    """

    def register(terms: Callable[..., list[Term]]) -> Objective:
        return OBJECTIVES.register(name)(Objective(terms, **declarations))

    return register
