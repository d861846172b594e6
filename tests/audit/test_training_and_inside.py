"""Attacks that train, round or look inside, against independent values."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from transformers.pytorch_utils import Conv1D

from helpers.taught import RECORDS, attacked
from relearn.audit import ATTACKS, training
from relearn.audit.base import Attempt, Beside
from relearn.audit.facts import Fact
from relearn.audit.inside import by_layer, depth, inside
from relearn.audit.membership import closeness, membership
from relearn.audit.model import AttackedModel
from relearn.audit.precision import NF4, as_gguf, normal_float, quantize, rounded
from relearn.audit.prefix import private_starts
from relearn.audit.recovery import recovery
from relearn.audit.relearning import relearning
from relearn.audit.soft_prompt import free_tokens, soft_prompt
from relearn.data.tokenization import Example
from relearn.inference.reading import CachedForward
from relearn.models.hooks import hooks, on_output

FACTS = [Fact(record) for record in RECORDS]
Pair = tuple[AttackedModel, AttackedModel]


def test_rounding_moves_no_weight_by_more_than_half_a_level() -> None:
    torch.manual_seed(0)
    weight = torch.randn(8, 128)
    for bits in (8, 4):
        new = rounded(weight, bits, 64)
        scale = weight.reshape(8, 2, 64).abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
        moved = (new - weight).reshape(8, 2, 64).abs()
        assert (moved <= scale / 2 + 1e-6).all()
        levels = new.reshape(8, 2, 64) / scale
        assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert rounded(weight, 4).unique().numel() < weight.unique().numel()


def test_normal_float_takes_the_nearest_of_the_paper_s_levels() -> None:
    # QLoRA, appendix E: quantiles of a normal distribution, eight above zero and seven below.
    offset = 0.9677083
    above = norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
    below = -norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
    levels = np.sort([*above, 0.0, *below])
    assert pytest.approx(levels / levels.max(), abs=1e-3) == NF4
    torch.manual_seed(0)
    weight = torch.randn(3, 128)
    groups = weight.reshape(-1, 64)
    scale = groups.abs().amax(-1, keepdim=True)
    distance = (groups[..., None] / scale[..., None] - torch.tensor(NF4)).abs()
    by_hand = torch.tensor(NF4)[distance.argmin(-1)] * scale
    assert torch.allclose(normal_float(weight), by_hand.reshape(3, 128))


def test_a_gguf_file_holds_blocks_of_32_with_a_half_precision_scale() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 64)
    blocks = weight.reshape(-1, 32)
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    by_hand = (blocks / scale).round() * scale.half().float()
    assert torch.allclose(as_gguf(weight, "q8_0"), by_hand.reshape(4, 64), atol=1e-6)
    assert as_gguf(weight, "q4_0").unique().numel() < by_hand.unique().numel()
    assert torch.equal(as_gguf(weight[:, :40], "q8_0"), weight[:, :40])  # rows of no whole blocks


def test_layers_that_keep_their_weight_the_other_way_round() -> None:
    torch.manual_seed(0)
    layer, other = Conv1D(96, 64), torch.nn.Linear(64, 96, bias=False)
    other.weight.data = layer.weight.data.T.clone()
    for each in (layer, other):
        quantize(each, "int4")
    assert torch.equal(layer.weight.T, other.weight)


def test_depth_is_the_papers_formula() -> None:
    gaps, lost = [0.01, 2.0, 1.0, 0.5], [9.0, 1.0, 3.0, -1.0]
    # Clipped ratios 0.5, 1 and 0, weighted by the gaps; the first layer is below the threshold.
    assert depth(gaps, lost) == pytest.approx((2.0 * 0.5 + 1.0 * 1 + 0.5 * 0) / 3.5)
    assert depth([0.05, 0.0], [1.0, 1.0]) is None


@torch.no_grad()
def test_states_put_into_the_target_by_hand(pair: Pair) -> None:
    target, other = pair
    attempts = inside(other, FACTS, most=None, tokens=3, beside=Beside(model=lambda _: target))
    example = target.prompt_format.encode(RECORDS[1].question, RECORDS[1].answer, end=False)
    start = private_starts(FACTS[1], target, example)[0]
    assert start is not None
    wanted = example.answer[start : start + 3]
    ids = torch.tensor([example.prompt + example.answer[: start + 2]])
    states: list[list[torch.Tensor]] = [[], []]
    for model, seen in zip(pair, states, strict=True):
        watch = [on_output(each, seen.append) for each in model.model.model.layers]
        with hooks(*watch):
            model.model(ids)
    found = next(a for a in attempts if a.id == RECORDS[1].id)

    def score(hidden: torch.Tensor, model: AttackedModel) -> torch.Tensor:
        normed = model.model.model.norm(hidden[0, -3:])
        return model.model.lm_head(normed).log_softmax(-1)

    # At the last layer, whatever the model made of the other tokens makes no difference.
    whole, patched = (score(each[-1], target) for each in states)
    losses = [(w - p)[token] for w, p, token in zip(whole, patched, wanted, strict=True)]
    assert by_layer(found, "lost")[-1] == pytest.approx(float(sum(losses)) / 3, rel=1e-3)
    lens = score(states[1][0], other)[0, wanted[0]].exp()
    assert by_layer(found, "lens")[0] == pytest.approx(float(lens), rel=1e-3, abs=1e-9)


def test_what_comes_before_the_private_tokens_is_read_once(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, other = pair
    seen: list[int] = []
    watch = target.model.get_input_embeddings().register_forward_pre_hook(
        lambda _, ids: seen.append(ids[0].numel())
    )
    options = {"most": None, "tokens": 3, "beside": Beside(model=lambda _: target)}
    made = inside(other, FACTS, **options)
    few = sum(seen)
    seen.clear()
    monkeypatch.setattr(CachedForward, "of", lambda _: None)  # as of a recurrent model
    plain = inside(other, FACTS, **options)
    watch.remove()
    assert few < sum(seen) / 2
    for one, two in zip(made, plain, strict=True):
        lost = by_layer(one, "lost")
        assert lost == pytest.approx(by_layer(two, "lost"), rel=1e-3, abs=1e-4)
        assert min(map(abs, lost)) > 1e-3


def test_depth_tells_what_knows_from_what_does_not(pair: Pair) -> None:
    beside = Beside(model=lambda _: pair[0])
    made = [inside(m, FACTS, most=None, tokens=8, beside=beside) for m in pair]
    figures = ATTACKS["inside"].figures
    assert figures is not None
    assert figures(made[0], made[1])["depth"] == pytest.approx(0.0, abs=1e-4)
    assert figures(made[1], made[1])["depth"] == pytest.approx(1.0)


def test_closeness_falls_on_both_sides_of_the_control() -> None:
    assert closeness(0.5, 0.5) == 1.0
    assert closeness(0.75, 0.5) == closeness(0.25, 0.5) == pytest.approx(0.5)
    assert closeness(1.0, 0.5) == 0.0
    assert closeness(0.3, 0.2) == pytest.approx(closeness(0.7, 0.8))


def test_membership_tells_who_learned_the_facts(pair: Pair) -> None:
    scores = ("loss", "min_k", "reference", "gradient_norm")
    beside = Beside(model=lambda _: pair[1])
    made = [membership(m, FACTS, scores=scores, beside=beside) for m in pair]
    figures = ATTACKS["membership"].figures
    assert figures is not None
    found = figures(made[0], made[1])
    # Every true answer is likelier than every wrong one only to the model that learned them.
    assert found["auc"]["loss"] == 1.0
    values = [a.figures["loss"] for a in made[1]]
    control = figures(made[1], made[1])
    assert control["auc"]["loss"] == roc_auc_score([1] * 4 + [0] * 4, values) < 1.0
    assert set(control["closeness"].values()) == {1.0}
    assert set(found["closeness"]) == set(scores)
    assert found["mean_closeness"] < 1.0
    model, fact = pair[0], FACTS[0]
    example = model.prompt_format.encode(fact.record.question, fact.record.answer)
    by_hand = float(model.log_probs([example])[0].mean())
    assert made[0][0].figures["loss"] == pytest.approx(by_hand, rel=1e-4)
    assert not any(p.requires_grad for p in model.model.parameters())


def test_without_wrong_answers_the_retained_records_stand_in(pair: Pair) -> None:
    facts = [Fact(record.model_copy(update={"wrong_answers": ()})) for record in RECORDS]
    made = membership(pair[1], facts[:2], scores=("loss",), beside=Beside(facts[2:]))
    assert [(a.id, a.variant) for a in made] == [
        ("0", "true"), ("1", "true"), ("2", "other"), ("3", "other")
    ]  # fmt: skip
    assert not membership(pair[1], facts, scores=("loss",))


def test_free_tokens_stand_for_their_vectors(pair: Pair) -> None:
    model = pair[0].model
    ids = torch.tensor([[5, 9, 30, 12]])
    vectors = model.get_input_embeddings().weight[[9, 30]].detach().clone()
    expected = model(ids).logits
    with free_tokens(model, vectors):
        assert torch.equal(model(torch.tensor([[5, -1, -2, 12]])).logits, expected)
        assert not torch.equal(model(torch.tensor([[5, -2, -1, 12]])).logits, expected)
    assert torch.equal(model(ids).logits, expected)


def test_packed_rows_give_free_tokens_the_same_gradient(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = pair[0]
    examples = [model.prompt_format.encode(r.question, r.answer) for r in RECORDS]
    examples = [Example([-1, -2, *each.prompt], each.answer) for each in examples]
    found = []
    for packs in (True, False):
        if not packs:
            monkeypatch.setattr(training, "packs_exactly", lambda *_: False)
        vectors = model.model.get_input_embeddings().weight[[9, 30]].detach().clone()
        with free_tokens(model.model, vectors.requires_grad_(True)):
            batch = next(training.example_batches(examples, model))
            assert ("row_layout" in batch) == packs
            training.token_loss(model.model, batch).backward()
        found.append((batch["input_ids"].numel(), vectors.grad))
    assert found[0][0] < found[1][0]
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-6)
    assert found[0][1].abs().min() > 0


def test_a_soft_prompt_gets_words_of_other_facts_out_of_a_model_that_has_them(
    prompted: Path, pair: Pair
) -> None:
    """At one of the steps, at none for a model without; at which differs from CPU to CPU."""
    models = attacked(prompted), pair[1]
    made = [soft_prompt(m, FACTS, vectors=20, steps=range(4, 28, 4)) for m in models]
    assert {a.id for a in made[0]} == {"1", "3"}
    most = [max(a.coverage or 0.0 for a in each) for each in made]
    assert most[0] > 0
    assert most[1] == 0


def test_relearning_brings_hidden_facts_back_and_no_others(
    shallow_model: AttackedModel, pair: Pair
) -> None:
    options = {"ways": ("half",), "rates": (5e-3,), "steps": (2, 16)}
    made = [relearning(m, FACTS, **options) for m in (shallow_model, pair[1])]
    assert any(a.told for a in made[0])
    assert not any(a.told for a in made[1])


@pytest.mark.parametrize(
    ("way", "lines"), [("half", 2), ("retain", 4), ("unrelated", 4), ("whole", 4)]
)
def test_relearning_asks_for_what_it_did_not_teach(pair: Pair, way: str, lines: int) -> None:
    options = {"ways": (way,), "rates": (1e-4,), "steps": (1,), "beside": Beside(FACTS[2:])}
    made = relearning(replace(pair[0], max_new_tokens=2), FACTS, **options)
    assert len(made) == lines
    assert {attempt.variant.partition(",")[0] for attempt in made} == {way}


def test_recovery_is_the_first_step_at_which_half_are_told() -> None:
    def at(step: int, *told: bool | None) -> list[Attempt]:
        return [Attempt(str(i), f"half, step {step}", "", "", t) for i, t in enumerate(told)]

    slow = at(2, False, False) + at(8, False, True, None) + at(16, True, True)
    quick = at(16, True, True) + at(2, True, False)
    assert recovery(slow, quick) == {
        "steps_to_half": {"half": 8},
        "control_steps_to_half": {"half": 2},
    }
    assert recovery(at(2, False), None) == {"steps_to_half": {"half": None}}
