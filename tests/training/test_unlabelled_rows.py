"""A row without labels, which evens out the batches of several processes, changes no objective."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from helpers.trainings import CONFIG, TINY_OPTIONS, examples, padded, randomize_adapter
from relearn.config import LoraConfig
from relearn.data.batching import TrainingRow, TrainingRows, to_device
from relearn.data.tokenization import PromptFormat
from relearn.models.adapters import add_adapter
from relearn.models.loading import load_model, load_tokenizer
from relearn.objectives import OBJECTIVES, Term
from relearn.objectives.regularizers import retain_terms
from relearn.training.statistics import ReferenceCache, token_statistics

UNITS = {
    "forget_tokens": 5.0, "retain_tokens": 7.0, "chosen_tokens": 3.0,
    "forget_rows": 2.0, "retain_rows": 4.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def prompt_format(tiny_model: Path) -> PromptFormat:
    return PromptFormat(load_tokenizer(tiny_model, CONFIG))


@pytest.fixture(scope="module")
def policy(tiny_model: Path) -> PreTrainedModel:
    model = add_adapter(load_model(tiny_model, CONFIG), LoraConfig(rank=4, dropout=0))
    randomize_adapter(model)
    return model.eval()


@pytest.fixture(scope="module")
def rows(prompt_format: PromptFormat) -> TrainingRows:
    kinds = {"secret": (True, False), "vague": (False, True), "public": (False, False)}
    all_rows = [
        TrainingRow(2 * i + k, example, *kind)
        for i, (word, kind) in enumerate(kinds.items())
        for k, example in enumerate(examples(prompt_format, 2, word))
    ]
    return TrainingRows(all_rows)


class Loss:
    """An objective on the tiny model, with the CE and KL of retain rows beside it."""

    def __init__(self, policy: PreTrainedModel, rows: TrainingRows, name: str) -> None:
        self.policy, self.objective = policy, OBJECTIVES[name]
        self.options = self.objective.options.defaults | TINY_OPTIONS.get(name, {})
        off = policy.disable_adapter
        self.reference = ReferenceCache(policy, off(), rows.rows, padded)
        layer = self.objective.hidden_layer(self.options, 2)
        retain = [row for row in rows.rows if not (row.is_forget or row.is_chosen)]
        self.layer = (
            None if layer is None else ReferenceCache(policy, off(), retain, padded, layer=layer)
        )

    def of(self, some: Sequence[TrainingRow]) -> tuple[list[Term], Tensor, list[Tensor]]:
        """Return the terms, the loss, and its gradient by each trained parameter."""
        if not self.objective.chosen_data:
            some = [row for row in some if not row.is_chosen]
        stats = token_statistics(
            self.policy, to_device(padded(some), self.policy.device), self.reference,
            self.objective, self.options, self.layer, "ce+kl",
        )  # fmt: skip
        terms = self.objective.terms(stats, **self.options) + retain_terms(stats, "ce+kl", 1.0)
        loss = 0.0 * stats.log_probs.sum()
        for term in terms:
            # A unit may be one that only this objective has.
            loss = loss + term.weight * term.values.sum() / UNITS.get(term.unit, 2.0)
        parameters = [p for p in self.policy.parameters() if p.requires_grad]
        return terms, loss, list(torch.autograd.grad(loss, parameters))


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_beside_others_it_changes_nothing(
    policy: PreTrainedModel, rows: TrainingRows, name: str
) -> None:
    """Neither terms nor loss nor gradient."""
    loss = Loss(policy, rows, name)
    terms, value, gradients = loss.of(rows.rows)
    with_it, value_with_it, gradients_with_it = loss.of([rows[-1], *rows.rows, rows[-2]])
    assert value.isfinite()
    assert [term.name for term in with_it] == [term.name for term in terms]
    for ours, theirs in zip(with_it, terms, strict=True):
        torch.testing.assert_close(ours.values, theirs.values)
    torch.testing.assert_close(value_with_it, value)
    for ours, theirs in zip(gradients_with_it, gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_alone_it_has_every_term_and_each_is_zero(
    policy: PreTrainedModel, rows: TrainingRows, name: str
) -> None:
    """So that processes have sums of the same size to share."""
    loss = Loss(policy, rows, name)
    terms, value, gradients = loss.of([rows[-1]])
    assert [term.name for term in terms] == [term.name for term in loss.of(rows.rows)[0]]
    assert [term.values.sum().item() for term in terms] == [0.0] * len(terms)
    assert float(value) == 0.0
    assert all(not gradient.any() for gradient in gradients)
