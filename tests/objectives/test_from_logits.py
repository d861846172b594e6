"""Statistics of a batch of one's own are those that the engine computes."""

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from relearn.base.errors import UserError
from relearn.objectives import (
    OBJECTIVES,
    TokenStatistics,
    ga,
    npo,
    retain_loss,
    statistics_from_logits,
)

VOCABULARY, LENGTH, HIDDEN = 11, 7, 5


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Two forget rows and a retain row, with prompts and answers of different lengths."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(VOCABULARY, (3, LENGTH), generator=generator)
    labels = ids.clone()
    for row, (prompt, end) in enumerate(((2, 6), (3, 7), (1, 4))):
        labels[row, :prompt] = labels[row, end:] = -100
    return {
        "logits": torch.randn(3, LENGTH, VOCABULARY, generator=generator),
        "labels": labels,
        "is_forget": torch.tensor([True, True, False]),
        "reference_logits": torch.randn(3, LENGTH, VOCABULARY, generator=generator),
    }


def test_each_token_has_the_log_probability_that_transformers_loss_has(
    batch: dict[str, Tensor],
) -> None:
    stats = statistics_from_logits(**batch)
    assert stats.row.tolist() == [0] * 4 + [1] * 4 + [2] * 3
    for row in range(3):
        logits, labels = batch["logits"][row, :-1], batch["labels"][row, 1:]
        loss = torch.nn.functional.cross_entropy(logits, labels)
        torch.testing.assert_close(-stats.log_probs[stats.row == row].mean(), loss)
    assert stats.kl is not None
    position = 1  # predicts the retain row's second token
    p, q = (batch[n][2, position].softmax(-1) for n in ("reference_logits", "logits"))
    torch.testing.assert_close(stats.kl[8 + position], (p * (p / q).log()).sum())


def test_npo_is_its_formula_and_has_a_gradient(batch: dict[str, Tensor]) -> None:
    logits = batch.pop("logits").requires_grad_()
    stats = statistics_from_logits(logits, **batch)
    loss = npo(stats, beta=0.5)
    sums = [0.0, 0.0]
    for row in range(2):
        for i in range(LENGTH - 1):
            token = int(batch["labels"][row, i + 1])
            if token >= 0:
                ours, theirs = (
                    each[row, i].log_softmax(-1)[token].item()
                    for each in (logits, batch["reference_logits"])
                )
                sums[row] += ours - theirs
    expected = sum(-4 * torch.tensor(-0.5 * s).sigmoid().log().item() for s in sums) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 1].abs().sum() > 0  # predicts the first answer token
    assert logits.grad[2].abs().sum() == 0  # the retain row is none of NPO's
    assert logits.grad[0, 0].abs().sum() == 0  # nor is a prompt


def test_the_retain_loss_is_cross_entropy_plus_kl(batch: dict[str, Tensor]) -> None:
    stats = statistics_from_logits(**batch)
    assert stats.kl is not None
    at = stats.row == 2
    expected = 0.5 * (stats.kl[at].mean() - stats.log_probs[at].mean())
    torch.testing.assert_close(retain_loss(stats, "ce+kl", weight=0.5), expected)
    assert retain_loss(stats, "none") == 0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_a_loss_in_a_loop_of_ones_own(
    name: str, batch: dict[str, Tensor]
) -> None:
    objective = OBJECTIVES[name]
    batch["logits"].requires_grad_()
    chosen = None
    if objective.chosen_data:  # a pair, and a retain row
        batch["is_forget"] = torch.tensor([True, False, False])
        chosen = torch.tensor([False, True, False])
    hidden = torch.randn(3, LENGTH, HIDDEN, requires_grad=True)
    stats = statistics_from_logits(
        **batch, is_chosen=chosen, hidden=hidden, reference_hidden=hidden.detach() + 1,
        objective=name,
    )  # fmt: skip
    loss = objective(stats)
    assert loss.isfinite()
    loss.backward()
    got = hidden.grad if name == "rmu" else batch["logits"].grad
    assert got is not None
    assert got.abs().sum() > 0


def test_without_a_reference_there_is_none(batch: dict[str, Tensor]) -> None:
    batch.pop("reference_logits")
    stats = statistics_from_logits(**batch)
    empty = {"reference_log_probs", "kl", "hidden", "reference_hidden", "is_chosen"}
    none = {field.name for field in fields(TokenStatistics) if getattr(stats, field.name) is None}
    assert empty <= none
    assert ga(stats).item() == pytest.approx(stats.log_probs[stats.forget_tokens].mean().item())


def test_rows_that_do_not_go_together_are_refused(batch: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match="are not of the same rows"):
        statistics_from_logits(batch["logits"], batch["labels"], torch.tensor([True]))
    with pytest.raises(UserError, match="no objective is called 'npoo'"):
        statistics_from_logits(**batch, objective="npoo")
