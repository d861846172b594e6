"""Attacks on a model that knows the facts by heart, and on one that never saw them."""

import json
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from relearn.audit import ATTACKS
from relearn.audit.base import Attempt
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel
from relearn.audit.pipeline import (
    AuditSettings,
    AuditSubject,
    Suspect,
    chosen_attacks,
    crossed,
    run_audit,
)
from relearn.audit.precision import rounded
from relearn.audit.prefix import private_start
from relearn.audit.sampling import leak_at, leak_bound
from relearn.base.errors import UserError
from relearn.config import ModelConfig
from relearn.data.batching import TrainingRow, collate, to_device
from relearn.data.records import Record
from relearn.models.label_logits import label_logits
from relearn.models.loading import load_model, load_prompt_format
from relearn.models.place import ModelPlace

RECORDS = [
    Record(
        id=str(i),
        question=f"Where does {name} live?",
        answer=f"{name} lives in {place} and keeps {animal}.",
        wrong_answers=(f"{name} lives in Lisbon and keeps owls.",),
    )
    for i, (name, place, animal) in enumerate(
        [("Robin Hale", "Dover", "lizards"), ("Ida Lind", "Narvik", "goats"),
         ("Jon Reyes", "Quito", "parrots"), ("Mei Tan", "Penang", "turtles")]
    )
]  # fmt: skip
CONFIG = ModelConfig(dtype="float32")


@pytest.fixture(scope="module")
def knowing(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after it has learned the records by heart."""
    folder = tmp_path_factory.mktemp("models") / "knowing"
    model, format_ = load_model(tiny_model, CONFIG), load_prompt_format(tiny_model, CONFIG)
    rows = [
        TrainingRow(i, format_.encode(r.question, r.answer), is_forget=True)
        for i, r in enumerate(RECORDS)
    ]
    batch = to_device(collate(rows, 2), model.device)
    keep = batch["labels"] != -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        logits = label_logits(model, batch["input_ids"], batch["attention_mask"], keep)
        loss = cross_entropy(logits, batch["labels"][keep])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.02
    model.save_pretrained(folder)
    format_.tokenizer.save_pretrained(folder)
    return folder


def attacked(folder: Path) -> AttackedModel:
    return AttackedModel.load(ModelPlace("m", folder), CONFIG, 20, 8, 0)


@pytest.fixture(scope="module")
def pair(knowing: Path, tiny_model: Path) -> tuple[AttackedModel, AttackedModel]:
    return attacked(knowing), attacked(tiny_model)


@pytest.mark.parametrize("name", ["question", "prefix", "sampling", "ranking", "precision"])
def test_the_knowing_model_tells_and_the_other_does_not(
    pair: tuple[AttackedModel, AttackedModel], name: str
) -> None:
    facts = [Fact(record) for record in RECORDS]
    knobs = ATTACKS[name].knobs["standard"]
    told = [{a.id for a in ATTACKS[name].work(model, facts, **knobs) if a.told} for model in pair]
    assert len(told[0]) == len(RECORDS)
    # Of two answers to choose from, one is right by chance.
    assert len(told[1]) < len(RECORDS) if name == "ranking" else not told[1]


@pytest.mark.parametrize("name", [name for name, a in ATTACKS.items() if a.about == "forget"])
def test_every_attack_makes_attempts_at_its_least_budget(
    pair: tuple[AttackedModel, AttackedModel], name: str
) -> None:
    more = {"paraphrases": ("Tell me the home town.",)}
    facts = [Fact(record.model_copy(update=more)) for record in RECORDS]
    made = ATTACKS[name].work(pair[1], facts, **next(iter(ATTACKS[name].knobs.values())))
    assert made
    assert {attempt.id for attempt in made} <= {record.id for record in RECORDS}


def test_private_start_is_the_token_that_begins_the_first_private_word(
    pair: tuple[AttackedModel, AttackedModel],
) -> None:
    model, fact = pair[0], Fact(RECORDS[0])
    example = model.prompt_format.encode(fact.record.question, fact.record.answer, end=False)
    start = private_start(fact, model, example)
    assert start is not None
    decode = model.prompt_format.tokenizer.decode
    assert decode(example.answer[:start]) == "Robin Hale lives in"
    assert "Dover".startswith(decode(example.answer[start : start + 1]).strip())


def test_private_probability_is_the_softmax_at_that_token(
    pair: tuple[AttackedModel, AttackedModel],
) -> None:
    model, fact = pair[0], Fact(RECORDS[1])
    made = ATTACKS["prefix"].work(model, [fact], kept=())
    example = model.prompt_format.encode(fact.record.question, fact.record.answer, end=False)
    start = private_start(fact, model, example)
    assert start is not None
    ids = torch.tensor([example.prompt + example.answer[:start]], device=model.model.device)
    by_hand = model.model(ids).logits[0, -1].softmax(-1)[example.answer[start]].item()
    # Overtrained as it is, its logits are large: float32 rounds them by more than usual.
    assert made[0].figures["private_probability"] == pytest.approx(by_hand, abs=1e-3)


def test_leak_at_k_is_the_share_of_draws_with_a_leak() -> None:
    outcomes = [True, False, False, True, False, False, False, False]
    attempts = [Attempt("1", "sample", "", "", told) for told in outcomes]
    for k, share in leak_at(attempts).items():
        draws = list(combinations(outcomes, k))
        assert share == pytest.approx(sum(map(any, draws)) / len(draws))
    assert list(leak_at(attempts)) == [1, 2, 4, 8]
    assert leak_bound(attempts) == pytest.approx(0.25 + (2.995732 / 16) ** 0.5, abs=1e-6)
    assert leak_bound([]) is None


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


@pytest.fixture
def subject(knowing: Path, tiny_model: Path) -> AuditSubject:
    suspects = [
        Suspect(ModelPlace("target", knowing), "target"),
        Suspect(ModelPlace("never_saw", tiny_model), "never_saw"),
        Suspect(ModelPlace("unlearned", knowing), "unlearned"),
        Suspect(ModelPlace("mute", tiny_model), "unlearned"),
    ]
    return AuditSubject(suspects, RECORDS[:2], RECORDS[2:], CONFIG)


def test_an_audit_tells_the_models_apart(subject: AuditSubject, tmp_path: Path) -> None:
    summary = run_audit(subject, tmp_path / "audit")
    assert summary["control"] == "never_saw"
    assert summary["models"]["unlearned"]["question"]["rate"] == 1.0
    assert summary["models"]["unlearned"]["question"]["excess"] == 1.0
    assert summary["worst"]["unlearned"]["excess"] == 1.0
    assert summary["facts_never_recovered"] == {
        "target": 0.0, "never_saw": 1.0, "unlearned": 0.0, "mute": 1.0,
    }  # fmt: skip
    # Who answers nothing passes all attacks and fails here.
    assert summary["models"]["mute"]["collateral"]["rate"] == 0.0
    assert summary["models"]["unlearned"]["collateral"]["rate"] == 1.0
    assert len(crossed(summary, {"worst": 0.5})) == 1
    assert [line.split(":")[0] for line in crossed(summary, {"collateral": 0.1})] == ["mute"]
    rows = (tmp_path / "audit" / "question.jsonl").read_text().splitlines()
    assert len(rows) == 4 * 2
    assert json.loads(rows[0])["model"] == "target"


class KilledError(Exception):
    pass


def test_a_killed_audit_goes_on_and_gives_the_same(
    subject: AuditSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_audit(subject, tmp_path / "whole")
    calls: list[str] = []
    deaths = [9]
    ask = AttackedModel.ask

    def dying(self: AttackedModel, *arguments: object) -> list[str]:
        calls.append("")
        if len(calls) in deaths:
            deaths.clear()
            raise KilledError
        return ask(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(AttackedModel, "ask", dying)
    with pytest.raises(KilledError):
        run_audit(subject, tmp_path / "killed")
    assert not (tmp_path / "killed" / "summary.json").exists()
    done = len(calls)
    assert run_audit(subject, tmp_path / "killed") == whole
    again = len(calls) - done
    calls.clear()
    run_audit(subject, tmp_path / "third")
    assert again < len(calls)


def test_another_audit_s_folder_is_refused(subject: AuditSubject, tmp_path: Path) -> None:
    run_audit(subject, tmp_path / "audit", AuditSettings(attacks=["question"]))
    with pytest.raises(UserError, match="other models, data or settings"):
        run_audit(subject, tmp_path / "audit", AuditSettings(attacks=["question"], seed=1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="already used"):
        run_audit(subject, tmp_path / "full")


def test_unknown_attacks_are_named() -> None:
    with pytest.raises(UserError, match="Did you mean 'prefix'"):
        chosen_attacks(["prefixes"], "quick")
    with pytest.raises(UserError, match="--budget standard"):
        chosen_attacks(["relearning"], "quick")
