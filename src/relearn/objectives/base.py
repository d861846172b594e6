"""What an objective is: a function from token statistics to the terms of a loss.

The engine runs the model once over all rows of a batch together and hands the statistics over; an
objective never sees the model. It returns sums together with what they are averaged over, so that
the engine can average over a whole optimizer step: the result does not depend on how the step is
split into micro-batches or ranks.

A row is of one of three kinds. *Forget* rows are what the objective is about: the private answers,
or the new ones that it learns. *Retain* rows keep the model as it is. *Chosen* rows exist for
objectives on preference pairs: each is the answer preferred to that of one forget row.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor

from relearn.base.options import Options
from relearn.base.registry import Registry

VocabularyFunction = Callable[..., Tensor]
"""Something that an answer token's whole distribution says: a function
`(log_probs, targets, reference_log_probs, **options) -> values`.

Args: `log_probs` (n, vocabulary) of the policy; `targets` (n,) the answer tokens;
`reference_log_probs` (n, vocabulary), or None unless the objective declares `needs_reference`.
Returns (n,). It treats each token by itself, so that the engine may call it chunk by chunk.
"""


@dataclass(frozen=True, kw_only=True)
class BatchRows:
    """The rows of a batch and their answer tokens in one line: what is known without the model.

    Attributes:
        row: (tokens,) index of the row that each token belongs to, ascending.
        is_forget: (rows,) whether a row is of the forget set.
        is_chosen: (rows,) whether a row is the preferred answer of a pair; None means no row is.
            The k-th chosen row of a batch is preferred to its k-th forget row.
        is_private: (rows,) whether a row is one of the private rows that an objective asks for;
            these are forget rows. None means no row is.
        private: (tokens,) whether a token of such a row begins a private word.
        silent: (tokens,) whether a token of such a row is of a word that other rows speak of.
    """

    row: Tensor
    is_forget: Tensor
    is_chosen: Tensor | None = None
    is_private: Tensor | None = None
    private: Tensor | None = None
    silent: Tensor | None = None

    @property
    def is_retain(self) -> Tensor:
        """(rows,) whether a row is of the retain set."""
        return ~self.is_forget if self.is_chosen is None else ~(self.is_forget | self.is_chosen)

    @property
    def forget_tokens(self) -> Tensor:
        """(tokens,) whether a token is of a forget row."""
        return self.is_forget[self.row]

    @property
    def retain_tokens(self) -> Tensor:
        """(tokens,) whether a token is of a retain row."""
        return self.is_retain[self.row]

    @property
    def position(self) -> Tensor:
        """(tokens,) place of each token in its answer, from 0."""
        lengths = self.row_lengths()
        starts = lengths.cumsum(0) - lengths
        return torch.arange(len(self.row), device=self.row.device) - starts[self.row]

    def row_sums(self, values: Tensor) -> Tensor:
        """Sum (tokens,) `values` over the tokens of each row, to (rows,)."""
        return values.new_zeros(len(self.is_forget)).index_add(0, self.row, values)

    def row_lengths(self) -> Tensor:
        """Return the number of answer tokens of each row, (rows,)."""
        return torch.bincount(self.row, minlength=len(self.is_forget))


@dataclass(frozen=True, kw_only=True)
class TokenStatistics(BatchRows):
    """What the model says about the answer tokens of one batch.

    A value that was not asked for is NaN; a tensor of which nothing was asked for is None.

    Attributes:
        log_probs: (tokens,) log-probability of each answer token under the policy, in nats, <= 0.
        reference_log_probs: (tokens,) the same as `log_probs` under the reference model.
        kl: (tokens,) KL(reference || policy) over the vocabulary, >= 0; on retain and private rows
            only.
        vocabulary: (tokens,) results of the objective's vocabulary functions by name; on forget
            rows only, or on retain rows where these are what they are about, and of an objective
            with private rows at private words only.
        hidden: (tokens, hidden) the policy's output of the layer that the objective names, at the
            positions that predict the answer tokens.
        reference_hidden: (tokens, hidden) likewise of the reference; on retain rows only.
    """

    log_probs: Tensor
    reference_log_probs: Tensor | None = None
    kl: Tensor | None = None
    vocabulary: Mapping[str, Tensor] = field(default_factory=dict)
    hidden: Tensor | None = None
    reference_hidden: Tensor | None = None

    def log_ratios(self) -> Tensor:
        """Return log(p(y|x) / p_ref(y|x)) of each row, (rows,); needs the reference."""
        assert self.reference_log_probs is not None
        return self.row_sums(self.log_probs - self.reference_log_probs)


UNITS: Mapping[str, Callable[[BatchRows], Tensor]] = {
    "forget_tokens": lambda rows: rows.forget_tokens,
    "retain_tokens": lambda rows: rows.retain_tokens,
    "forget_rows": lambda rows: rows.is_forget & (rows.row_lengths() > 0),
    "retain_rows": lambda rows: rows.is_retain & (rows.row_lengths() > 0),
}
"""What a term's sum can be divided by the number of: by name, which tokens or rows those are."""


@dataclass(frozen=True)
class Term:
    """One named part of a loss: weight * sum(values) / number of `unit` in the optimizer step.

    Attributes:
        name: For the logs.
        values: (n,) one value for each token or row of the batch that the term is about.
        unit: What the sum is divided by the number of: one of `UNITS`, or of the objective's own.
        weight: Factor in the loss; logs show the term without it.
    """

    name: str
    values: Tensor
    unit: str
    weight: float = 1.0


DEFAULT_LAYER = 7
"""The decoder layer that hidden states are of unless it is configured; in a model with fewer
layers, its last."""


@dataclass(frozen=True)
class Objective:
    """A forget objective: its formula, and what it needs from data and engine.

    Attributes:
        terms: The formula; its keyword arguments are the objective's options, and their
            annotations and defaults the types, ranges and defaults of these
            (`relearn.base.options`).
        forget_data: What its forget rows answer: the private answers (`original`), the new
            answers of the synthesis (`synthesized`), or that one does not know (`idk`).
        chosen_data: What its chosen rows answer, one beside each forget row: likewise, or a
            made-up answer of the same form (`alternative`); None where it has no pairs.
        private_rows: Whether each record's private answer is a forget row too, besides those of
            `forget_data`, with marks where its private words begin, and with the reference at these
            words that is about somebody else.
        needs_reference: Whether it reads the reference model on forget and chosen rows; where it
            has private rows, of the forget rows on these alone; where its vocabulary functions are
            of retain rows, on those instead.
        needs_hidden_states: Whether it reads hidden states; of the decoder layer that its option
            `layer` numbers, from 0, or None for `DEFAULT_LAYER`.
        needs_retain: Whether it has terms on retain rows itself, with whatever regularizer.
        vocabulary: Its vocabulary functions by name.
        vocabulary_of: Which rows these functions are about.
        units: Its own units by name, for a term about only some of the tokens or rows:
            `(rows, **options)` to a mask of those that count. They are counted before the model
            runs, over the whole optimizer step, so they can depend on nothing but `BatchRows`.
        update: New values, by name, of those of its options that change from step to step, from
            `(means, epoch, **options)` after each optimizer step; `means` has the step's mean of
            each term that was about something, by name, and `epoch` counts the epochs done so far,
            with their fraction. What is configured is what they start from.
        regularizer: What is added on retain rows unless the configuration says otherwise.
        retain_weight: The regularizer's factor, likewise.
        endings: Rows for each record that begin as its private answer does and end vaguely,
            likewise.
    """

    terms: Callable[..., list[Term]]
    forget_data: Literal["original", "synthesized", "idk"] = "original"
    chosen_data: Literal["synthesized", "idk", "alternative"] | None = None
    private_rows: bool = False
    needs_reference: bool = False
    needs_hidden_states: bool = False
    needs_retain: bool = False
    vocabulary: Mapping[str, VocabularyFunction] = field(default_factory=dict)
    vocabulary_of: Literal["forget", "retain"] = "forget"
    units: Mapping[str, Callable[..., Tensor]] = field(default_factory=dict)
    update: Callable[..., Mapping[str, float]] | None = None
    regularizer: Literal["none", "ce", "kl", "ce+kl"] = "none"
    retain_weight: float = 1.0
    endings: int = 0

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.terms.__doc__

    def __call__(self, stats: TokenStatistics, **options: Any) -> Tensor:
        """Return the loss on one batch, a scalar that can be differentiated.

        Each term is averaged over the batch's own tokens or rows. A regularizer on retain rows is
        not part of it (`relearn.objectives.regularizers`).

        Args:
            stats: What the objective declares that it needs must be filled.
            **options: The objective's options; its defaults where they are missing.

        Raises:
            UserError: an option is unknown, of the wrong type or out of range.
        """
        self.options.check(options)
        counts = self.counts(stats, options)
        terms = self.terms(stats, **options)
        zero = stats.log_probs.new_zeros(())
        return sum((t.weight * t.values.sum() / counts[t.unit].clamp(min=1) for t in terms), zero)

    @cached_property
    def options(self) -> Options:
        """What it can be configured with: the keyword arguments of its formula."""
        return Options("training.objective_options", self.terms, given=1)

    def hidden_layer(self, options: Mapping[str, Any], layers: int) -> int | None:
        """Return the number of the decoder layer whose output it reads, from 0; None for none.

        Args:
            options: Those that are configured.
            layers: How many decoder layers the model has.
        """
        if not self.needs_hidden_states:
            return None
        layer: int | None = (self.options.defaults | dict(options))["layer"]
        return min(DEFAULT_LAYER, layers - 1) if layer is None else layer

    def vocabulary_functions(self, options: Mapping[str, Any]) -> dict[str, VocabularyFunction]:
        """Return the vocabulary functions by name, each with those of `options` that it takes."""
        chosen = self.options.defaults | dict(options)
        return {name: _with_options(f, chosen) for name, f in self.vocabulary.items()}

    def counts(self, rows: BatchRows, options: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return how many of each unit a batch has, those of `UNITS` and the objective's own."""
        chosen = self.options.defaults | dict(options)
        units = {name: _with_options(unit, chosen) for name, unit in self.units.items()}
        return {name: unit(rows).sum() for name, unit in {**UNITS, **units}.items()}


def _with_options(
    function: Callable[..., Tensor], options: Mapping[str, Any]
) -> Callable[..., Tensor]:
    """Return the function with those of `options` that it takes."""
    taken = inspect.signature(function).parameters
    return partial(function, **{name: v for name, v in options.items() if name in taken})


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
