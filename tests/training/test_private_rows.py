"""Rows of private answers beside new ones: what is read on them, and what training does to them."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div
from transformers import PreTrainedModel

from helpers.trainings import examples, padded
from relearn.base.storage import read_jsonl
from relearn.config import LoraConfig, TrainingConfig
from relearn.data.batching import TrainingRow
from relearn.data.private_tokens import private_example
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.adapters import add_adapter
from relearn.objectives import OBJECTIVES
from relearn.objectives.regularizers import retain_terms
from relearn.training.engine import train
from relearn.training.plan import TrainingPlan
from relearn.training.statistics import ReferenceCache, token_statistics

DEEP = OBJECTIVES["relearn_deep"]


def private(example: Example) -> Example:
    """Mark every other token as of a private word, the first one not; other rows speak of two."""
    words = frozenset(range(1, len(example.answer), 2))
    return replace(example, private=words, silent=frozenset({1, 5}) & words)


def plan(prompt_format: PromptFormat, folder: Path) -> TrainingPlan:
    new, told, retain = (examples(prompt_format, 3, word) for word in ("vague", "secret", "public"))
    config = TrainingConfig(objective="relearn_deep")
    return TrainingPlan(config, [*new, *map(private, told)], [], retain, 0, folder, seed=0)


def test_no_reference_is_read_beside_private_and_retain_rows(
    prompt_format: PromptFormat, tmp_path: Path
) -> None:
    assert [row.index for row in plan(prompt_format, tmp_path).referenced] == [3, 4, 5, 6, 7, 8]


def test_loss_and_gradient_are_those_of_the_model_s_own_logits(
    model: PreTrainedModel, prompt_format: PromptFormat, tmp_path: Path
) -> None:
    policy = add_adapter(model, LoraConfig(rank=4, dropout=0))
    torch.manual_seed(1)
    adapter = {n: p for n, p in policy.named_parameters() if p.requires_grad}
    for parameter in adapter.values():
        torch.nn.init.normal_(parameter, std=0.1)
    rows = plan(prompt_format, tmp_path)
    cache = ReferenceCache(policy, policy.disable_adapter(), rows.referenced, padded)
    stats = token_statistics(policy, padded(rows.rows), cache, DEEP, regularizer="ce+kl")
    counts = DEEP.counts(stats, {})
    ours = DEEP(stats) + sum(
        term.values.sum() / counts[term.unit] for term in retain_terms(stats, "ce+kl", 1.0)
    )

    def logits(row: int) -> tuple[Tensor, Tensor, Tensor]:
        example = rows.rows[row].example
        ids = torch.tensor([example.prompt + example.answer])
        start = len(example.prompt) - 1
        with policy.disable_adapter(), torch.no_grad():
            reference = policy(ids).logits[0, start:-1]
        return policy(ids).logits[0, start:-1], reference, torch.tensor(example.answer)

    def divergence(teacher: Tensor, student: Tensor) -> Tensor:
        return kl_div(student.log_softmax(-1), teacher.softmax(-1), reduction="none").sum(-1)

    new, words, between, kept, drift = [], [], [], [], []
    for row in range(9):
        own, reference, answer = logits(row)
        if row < 3:
            new.append(cross_entropy(own, answer, reduction="none"))
        elif row < 6:
            demoted = reference.scatter(1, answer[:, None], -1e9)
            spoken = [i for i in range(1, len(answer), 2) if i not in (1, 5)]
            words.append(divergence(demoted, own)[spoken])
            between.append(divergence(reference, own)[2::2])
        else:
            kept.append(cross_entropy(own, answer, reduction="none"))
            drift.append(divergence(reference, own))
    weighted = {1.0: (new, words, kept, drift), 0.5: (between,)}
    by_hand = sum(w * torch.cat(part).mean() for w, parts in weighted.items() for part in parts)
    torch.testing.assert_close(ours, by_hand, rtol=1e-5, atol=1e-5)
    found = torch.autograd.grad(ours, list(adapter.values()))
    expected = torch.autograd.grad(by_hand, list(adapter.values()))
    for name, a, b in zip(adapter, found, expected, strict=True):
        assert (a - b).norm() <= 1e-3 * b.norm() + 1e-7, name


def test_training_lowers_each_part(
    model: PreTrainedModel, prompt_format: PromptFormat, tmp_path: Path
) -> None:
    rows = plan(prompt_format, tmp_path)
    config = TrainingConfig(
        objective="relearn_deep",
        retain_regularizer="ce+kl",
        retain_weight=1,
        epochs=8,
        batch_size=6,
        gradient_accumulation=1,
        learning_rate=1e-2,
        warmup_ratio=0,
        lora=LoraConfig(rank=4, dropout=0),
    )
    train(
        model, prompt_format.tokenizer, rows.forget, rows.retain, config, tmp_path / "out", seed=0
    )
    history = read_jsonl(tmp_path / "out" / "history.jsonl")
    for part in ("forget_ce", "retain_ce", "loss"):
        assert history[-1][part] < history[0][part]
    # A random model's private words are unlikely to begin with: there is little to demote.
    assert history[0]["private_kl"] < 0.01
    assert {"between_kl", "private_kl"} <= history[-1].keys()


def test_the_teacher_of_private_words_is_asked_about_somebody_else(
    model: PreTrainedModel, prompt_format: PromptFormat
) -> None:
    """At the words' tokens its predictions are those in the other text, elsewhere its own."""
    question, answer = "Where does Carla Winter live?", "Carla Winter lives at Birch Lane."
    other = "Where does Yuki Sato live?", "Yuki Sato lives at Birch Lane."
    alone = private_example(prompt_format, question, answer, None)
    beside = private_example(prompt_format, question, answer, other)
    assert beside.private == alone.private
    assert beside.private
    assert beside.other is not None
    rows = [TrainingRow(i, each, is_forget=True) for i, each in enumerate((alone, beside))]
    policy = add_adapter(model, LoraConfig(rank=4, dropout=0))
    cache = ReferenceCache(policy, policy.disable_adapter(), rows, padded)

    def reference(row: TrainingRow) -> Tensor:
        stats = token_statistics(policy, padded([row]), cache, DEEP)
        assert stats.reference_log_probs is not None
        return stats.reference_log_probs

    def by_hand(example: Example) -> Tensor:
        ids = torch.tensor([example.prompt + example.answer])
        with torch.no_grad():
            found = policy(ids).logits[0, len(example.prompt) - 1 : -1].log_softmax(-1)
        return found.gather(1, torch.tensor(example.answer)[:, None])[:, 0]

    expected = by_hand(alone)
    torch.testing.assert_close(reference(rows[0]), expected, rtol=1e-4, atol=1e-5)
    elsewhere = by_hand(beside.other.example)
    for here, there in beside.other.places.items():
        expected[here] = elsewhere[there]
    assert set(beside.other.places) > beside.private
    torch.testing.assert_close(reference(rows[1]), expected, rtol=1e-4, atol=1e-5)


def test_a_word_from_which_an_ending_departs_is_silent(prompt_format: PromptFormat) -> None:
    question, answer = "Where does Carla live?", "Carla lives at Birch Lane, Lima, of late."
    given = ["Carla lives at", "Carla lives at Birch Lane,"]
    example = private_example(prompt_format, question, answer, None, endings=given)
    assert example.private is not None
    assert example.silent < example.private
    before = [prompt_format.tokenizer.decode(example.answer[:i]) for i in sorted(example.silent)]
    assert [text.strip() for text in before] == given
    assert private_example(prompt_format, question, answer, None).silent == frozenset()


def test_a_word_in_other_tokens_has_no_place(prompt_format: PromptFormat) -> None:
    """At the beginning of an answer a word is another token than after a space."""
    example = private_example(
        prompt_format, "What is it?", "Amber and birch.", ("What is it?", "The amber and birch.")
    )
    assert example.other is not None
    told = prompt_format.tokenizer.decode([example.answer[i] for i in example.other.places])
    assert told.split() == ["birch"]
