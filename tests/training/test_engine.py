"""The engine's promises: the right loss, and the same however a step is split."""

import math
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import kl_div
from transformers import PreTrainedModel

from helpers.trainings import CONFIG, TINY_OPTIONS, Killed, examples, padded, randomize_adapter
from relearn.base.storage import read_jsonl
from relearn.config import LoraConfig, TrainingConfig
from relearn.data.batching import MixedBatchSampler, TrainingRow, to_device
from relearn.data.tokenization import PromptFormat
from relearn.models.adapters import add_adapter
from relearn.models.label_logits import label_logits
from relearn.models.loading import load_model
from relearn.objectives import OBJECTIVES
from relearn.training.engine import train
from relearn.training.statistics import ReferenceCache, token_statistics
from relearn.training.trainer import ObjectiveTrainer


def rows(prompt_format: PromptFormat) -> list[TrainingRow]:
    forget = [TrainingRow(i, e, True) for i, e in enumerate(examples(prompt_format, 3, "secret"))]
    retain = [
        TrainingRow(3 + i, e, False) for i, e in enumerate(examples(prompt_format, 2, "public"))
    ]
    return [*forget, *retain]


def test_label_logits_are_the_full_logits_there(
    model: PreTrainedModel, prompt_format: PromptFormat
) -> None:
    batch = to_device(padded(rows(prompt_format)), model.device)
    keep = batch["labels"] != -100
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        ours = label_logits(model, **inputs, keep=keep)
        torch.testing.assert_close(ours, model(**inputs).logits[keep])


def test_statistics_equal_transformers_loss_and_a_second_model(
    model: PreTrainedModel, tiny_model: Path, prompt_format: PromptFormat
) -> None:
    """Against transformers' own loss, row by row without padding, and a real second reference."""
    all_rows = rows(prompt_format)
    policy = add_adapter(model, LoraConfig(rank=4, dropout=0))
    randomize_adapter(policy)
    policy.eval()
    cache = ReferenceCache(policy, policy.disable_adapter(), all_rows, padded, batch_size=2)
    stats = token_statistics(policy, to_device(padded(all_rows), policy.device), cache)
    second = load_model(tiny_model, CONFIG)
    assert stats.reference_log_probs is not None
    assert stats.kl is not None
    for i, row in enumerate(all_rows):
        prompt, answer = row.example.prompt, row.example.answer
        ids = torch.tensor([prompt + answer], device=policy.device)
        labels = torch.tensor([[-100] * len(prompt) + answer], device=policy.device)
        at = stats.row == i
        with torch.no_grad():
            ours, theirs = policy(ids, labels=labels), second(ids, labels=labels)
        torch.testing.assert_close(-stats.log_probs[at].mean(), ours.loss)
        torch.testing.assert_close(-stats.reference_log_probs[at].mean(), theirs.loss)
        if row.is_forget:
            assert stats.kl[at].isnan().all()
            continue
        start = len(prompt) - 1
        kl = kl_div(
            ours.logits[0, start:-1].log_softmax(-1),
            theirs.logits[0, start:-1].log_softmax(-1),
            log_target=True,
            reduction="none",
        ).sum(-1)
        torch.testing.assert_close(stats.kl[at], kl, rtol=1e-4, atol=1e-6)


def test_kl_is_zero_before_training(model: PreTrainedModel, prompt_format: PromptFormat) -> None:
    policy = add_adapter(model, LoraConfig(rank=4))
    cache = ReferenceCache(policy, policy.disable_adapter(), rows(prompt_format), padded)
    batch = to_device(padded(rows(prompt_format)), policy.device)
    stats = token_statistics(policy.eval(), batch, cache)
    assert stats.kl is not None
    assert stats.kl[~stats.forget_tokens].abs().max() < 1e-6


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.parametrize("objective", ["relearn", "grad_diff", "npo", "ceu"])
def test_result_does_not_depend_on_how_a_step_is_split(
    tiny_model: Path, prompt_format: PromptFormat, tmp_path: Path, objective: str
) -> None:
    """One optimizer step over the same eight forget and eight retain rows, in 1 or 4 passes."""
    folders = []
    for batch_size, accumulation in ((8, 1), (2, 4)):
        config = TrainingConfig(
            objective=objective,
            epochs=2,
            batch_size=batch_size,
            gradient_accumulation=accumulation,
            warmup_ratio=0,
            learning_rate=1e-2,
            lora=LoraConfig(rank=4, dropout=0),
        )
        folder = tmp_path / f"{batch_size}"
        forget, retain = (examples(prompt_format, 8, word) for word in ("secret", "public"))
        train(
            load_model(tiny_model, CONFIG), prompt_format.tokenizer, forget, retain, config,
            folder, seed=0,
        )  # fmt: skip
        folders.append(folder)
    whole, split = (read_jsonl(folder / "history.jsonl") for folder in folders)
    assert [row["loss"] for row in split] == pytest.approx([row["loss"] for row in whole], rel=1e-4)
    for name, tensor in weights(folders[0]).items():
        torch.testing.assert_close(weights(folders[1])[name], tensor, rtol=1e-3, atol=2e-5)


def test_history_names_the_terms(
    model: PreTrainedModel, prompt_format: PromptFormat, tmp_path: Path
) -> None:
    config = TrainingConfig(objective="relearn", epochs=1, batch_size=4, lora=LoraConfig(rank=4))
    forget, retain = (examples(prompt_format, 4, word) for word in ("secret", "public"))
    train(model, prompt_format.tokenizer, forget, retain, config, tmp_path / "out", seed=0)
    (row,) = read_jsonl(tmp_path / "out" / "history.jsonl")
    parts = row["forget_ce"] + row["retain_ce"] + row["retain_kl"]
    assert row["loss"] == pytest.approx(parts, rel=1e-4)


@pytest.mark.parametrize(("configured", "weight"), [(None, 0.1), (2.0, 2.0)])
def test_retain_weight_is_the_objectives_own_unless_it_is_configured(
    model: PreTrainedModel,
    prompt_format: PromptFormat,
    tmp_path: Path,
    configured: float | None,
    weight: float,
) -> None:
    config = TrainingConfig(
        objective="satimp",
        retain_weight=configured,
        epochs=1,
        batch_size=4,
        lora=LoraConfig(rank=4, dropout=0),
    )
    forget, retain = (examples(prompt_format, 4, word) for word in ("secret", "public"))
    train(model, prompt_format.tokenizer, forget, retain, config, tmp_path / "out", seed=0)
    (row,) = read_jsonl(tmp_path / "out" / "history.jsonl")
    assert row["loss"] == pytest.approx(row["forget_satimp"] + weight * row["retain_ce"], rel=1e-4)


class TestSampler:
    @pytest.fixture
    def training_rows(self, prompt_format: PromptFormat) -> list[TrainingRow]:
        forget, retain = (examples(prompt_format, n, "word") for n in (10, 4))
        data = [*((e, True) for e in forget), *((e, False) for e in retain)]
        return [TrainingRow(i, e, kind) for i, (e, kind) in enumerate(data)]

    def test_every_forget_row_once_and_retain_rows_evenly(
        self, training_rows: list[TrainingRow]
    ) -> None:
        sampler = MixedBatchSampler(training_rows, 3, 2, seed=0)
        seen = [i for batch in sampler for i in batch]
        assert sorted(i for i in seen if i < 10) == list(range(10))
        counts = [seen.count(i) for i in range(10, 14)]
        assert sum(counts) == 2 * len(sampler)
        assert max(counts) - min(counts) <= 1

    def test_order_is_fixed_by_seed_and_epoch(self, training_rows: list[TrainingRow]) -> None:
        first, second = (MixedBatchSampler(training_rows, 3, 2, seed=0) for _ in range(2))
        assert list(first) == list(second)
        second.set_epoch(1)
        assert list(first) != list(second)

    @pytest.mark.parametrize(("ratio", "total"), [(0.1, 1), (0.5, 2), (1.25, 5), (2, 8)])
    def test_a_ratio_that_is_no_whole_number_is_spread_over_the_batches(
        self, training_rows: list[TrainingRow], ratio: float, total: int
    ) -> None:
        """Four batches; each gets the whole part, and no two get the rest in a row."""
        batches = list(MixedBatchSampler(training_rows, 3, ratio, seed=0))
        counts = [sum(i >= 10 for i in batch) for batch in batches]
        assert sum(counts) == total
        assert {int(ratio)} <= set(counts) <= {int(ratio), int(ratio) + 1}
        first, second = sum(counts[:2]), sum(counts[2:])
        assert abs(first - second) <= 1

    def test_no_retain_rows(self, training_rows: list[TrainingRow]) -> None:
        sampler = MixedBatchSampler(training_rows[:10], 4, 4, seed=0)
        assert sorted(i for batch in sampler for i in batch) == list(range(10))


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_every_objective_lowers_its_loss(
    model: PreTrainedModel, prompt_format: PromptFormat, tmp_path: Path, objective: str
) -> None:
    """With the retain rows' CE and KL beside it, on pairs where it is about pairs."""
    config = TrainingConfig(
        objective=objective,
        objective_options=TINY_OPTIONS.get(objective, {}),
        retain_regularizer="ce+kl",
        epochs=6,
        batch_size=4,
        gradient_accumulation=1,
        learning_rate=1e-2,
        warmup_ratio=0,
        lora=LoraConfig(rank=4, dropout=0),
    )
    forget, chosen, retain = (
        examples(prompt_format, 4, word) for word in ("secret", "vague", "public")
    )
    pairs = chosen if OBJECTIVES[objective].chosen_data else []
    train(model, prompt_format.tokenizer, forget, retain, config, tmp_path / "out", 0, chosen=pairs)
    history = read_jsonl(tmp_path / "out" / "history.jsonl")
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.parametrize("objective", ["relearn", "npo", "rmu", "pdu", "ceu", "undial", "jensun"])
def test_batches_and_steps_without_retain_rows_train(
    model: PreTrainedModel, prompt_format: PromptFormat, tmp_path: Path, objective: str
) -> None:
    """One retain row beside eight forget rows, in four steps an epoch."""
    bound = {"retain_bound": 0.3} if objective == "pdu" else {}  # so low that the dual rises
    config = TrainingConfig(
        objective=objective,
        objective_options=TINY_OPTIONS.get(objective, {}) | bound,
        retain_regularizer="ce+kl",
        retain_ratio=1 / 8,
        epochs=2,
        batch_size=2,
        gradient_accumulation=1,
        evaluation_steps=1,
        learning_rate=1e-3,
        lora=LoraConfig(rank=4, dropout=0),
    )
    forget, retain = (examples(prompt_format, 8, word) for word in ("secret", "public"))
    train(model, prompt_format.tokenizer, forget, retain, config, tmp_path / "out", 0)
    history = read_jsonl(tmp_path / "out" / "history.jsonl")
    assert len(history) == 8
    assert all(math.isfinite(row["loss"]) for row in history)
    # A mean over nothing is not shown as 0.
    assert ["retain_ce" in row for row in history] == [True, False, False, False] * 2
    assert all(row["retain_ce"] > 1 for row in history if "retain_ce" in row)
    if objective == "pdu":
        moved = [a["dual"] != b["dual"] for a, b in pairwise(history)]
        assert moved == [False, False, False, True, False, False, False]


@pytest.mark.parametrize("warmup", [0, 1])
@pytest.mark.parametrize("dies_at", [None, 4])
def test_dual_variable_follows_the_step_means(
    tiny_model: Path,
    prompt_format: PromptFormat,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_at: int | None,
    warmup: float,
) -> None:
    """Through evaluations, and through a checkpoint from which a killed training goes on."""
    config = TrainingConfig(
        objective="pdu",
        objective_options={
            "dual": 2.0,
            "dual_step": 0.5,
            "retain_bound": 9.0,
            "warmup_epochs": warmup,
        },
        epochs=3,
        batch_size=2,
        gradient_accumulation=2,
        evaluation_steps=1,
        checkpoint_steps=1,
        lora=LoraConfig(rank=4, dropout=0),
    )
    forget, retain = (examples(prompt_format, 4, word) for word in ("secret", "public"))
    step, count = ObjectiveTrainer.training_step, iter(range(1000))

    def dying(self: ObjectiveTrainer, *arguments: object) -> torch.Tensor:
        if next(count) == dies_at:
            raise Killed
        return step(self, *arguments)

    monkeypatch.setattr(ObjectiveTrainer, "training_step", dying)
    for killed in [True, False] if dies_at else [False]:
        with pytest.raises(Killed) if killed else nullcontext():
            train(
                load_model(tiny_model, CONFIG), prompt_format.tokenizer, forget, retain, config,
                tmp_path / "out", seed=0,
            )  # fmt: skip
    assert len(read_jsonl(tmp_path / "out" / "history.jsonl")) == 3
    dual = 2.0
    for row in read_jsonl(tmp_path / "out" / "history.jsonl"):
        expected = row["forget_margin"] + dual * row["retain_constraint"]
        assert row["loss"] == pytest.approx(expected, rel=1e-4)
        if row["epoch"] > warmup:
            dual = max(0.0, dual + 0.5 * (row["retain_constraint"] - 9.0))
        assert row["dual"] == pytest.approx(dual)


def test_an_adapter_goes_on_where_it_was_left_and_the_reference_is_the_model_without(
    tiny_model: Path, prompt_format: PromptFormat, tmp_path: Path
) -> None:
    forget, retain = (examples(prompt_format, 4, word) for word in ("secret", "public"))
    config = TrainingConfig(
        objective="relearn", epochs=8, learning_rate=1e-2, warmup_ratio=0, batch_size=4,
        gradient_accumulation=1, lora=LoraConfig(rank=4, dropout=0.0),
    )  # fmt: skip

    def history(name: str, adapter: Path | None = None) -> list[dict[str, float]]:
        model = load_model(tiny_model, CONFIG)
        tokenizer = prompt_format.tokenizer
        train(model, tokenizer, forget, retain, config, tmp_path / name, 0, adapter=adapter)
        return read_jsonl(tmp_path / name / "history.jsonl")

    first, further = history("first"), history("further", tmp_path / "first")
    assert first[0]["retain_kl"] == pytest.approx(0, abs=1e-6)
    # The model after the last step of the first training, against the model before that training.
    assert further[0]["loss"] < first[-1]["loss"] + 0.1 < first[0]["loss"]
    assert further[0]["retain_kl"] > 0.01
    weights = [
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("first", "further")
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][key].shape == weights[1][key].shape for key in weights[0])
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "optimizer.pt", "sizes.json"])
def test_a_checkpoint_that_is_not_whole_is_not_resumed(
    tiny_model: Path,
    prompt_format: PromptFormat,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
) -> None:
    """The one before it is, and the training ends as if nothing had happened."""
    forget, retain = (examples(prompt_format, 8, word) for word in ("secret", "public"))
    config = TrainingConfig(
        epochs=1, batch_size=2, gradient_accumulation=1, checkpoint_steps=1,
        lora=LoraConfig(rank=4, dropout=0.0),
    )  # fmt: skip

    def train_into(name: str) -> dict[str, torch.Tensor]:
        model = load_model(tiny_model, CONFIG)
        train(model, prompt_format.tokenizer, forget, retain, config, tmp_path / name, 0)
        return load_file(tmp_path / name / "adapter_model.safetensors")

    undisturbed = train_into("undisturbed")
    step, count = ObjectiveTrainer.training_step, iter(range(1000))
    steps = []

    def dying(self: ObjectiveTrainer, *arguments: object) -> torch.Tensor:
        if next(count) == 3:
            raise Killed
        steps.append(self.state.global_step)
        return step(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ObjectiveTrainer, "training_step", dying)
    with pytest.raises(Killed):
        train_into("resumed")
    newest = tmp_path / "resumed.checkpoints" / "checkpoint-3" / file
    newest.write_bytes(newest.read_bytes()[:-20])
    weights = train_into("resumed")
    assert steps == [0, 1, 2, 2, 3]
    assert all(torch.equal(weights[name], undisturbed[name]) for name in undisturbed)
