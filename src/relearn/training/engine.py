"""The training engine: the Hugging Face Trainer, stepping on an objective's terms."""

import json
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from relearn.config import TrainingConfig
from relearn.data.batching import IGNORE, MixedBatchSampler, TrainingRow, collate
from relearn.data.tokenization import Example
from relearn.errors import UserError
from relearn.models.adapters import add_adapter, scale_adapter
from relearn.objectives import OBJECTIVES, Term, TokenStatistics
from relearn.objectives.regularizers import retain_terms
from relearn.progress import progress_bar
from relearn.storage import atomic_path, disk_errors, write_json, write_jsonl
from relearn.training.statistics import ReferenceCache, token_statistics
from relearn.training.wrappers import WRAPPERS, Wrapper, apply_masks


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    forget: Sequence[Example],
    retain: Sequence[Example],
    config: TrainingConfig,
    output: Path,
    seed: int,
    title: str = "training",
    chosen: Sequence[Example] = (),
) -> PeftModel:
    """Train an adapter on `model` and write it to `output` with its `history.jsonl`.

    A training that was killed goes on from its last checkpoint, to the same weights.

    Args:
        model: Changed in place: it gets the adapter.
        tokenizer: Saved in checkpoints; its pad token pads.
        forget: Rows of the forget objective.
        retain: Rows of the retain regularizer; may be empty.
        config: Objective and hyper-parameters.
        output: Folder that appears when the training is finished.
        seed: Fixes initialization, order and dropout.
        title: Of the progress bar.
        chosen: Preferred answers, one for each of `forget`, where the objective is about pairs.

    Returns:
        The trained model, adapter on.

    Raises:
        UserError: unknown objective or option, or the loss is no longer a finite number.
    """
    objective = OBJECTIVES.named(config.objective)
    objective.check_options(config.objective_options)
    regularizer = config.retain_regularizer or objective.regularizer
    set_seed(seed)
    policy = add_adapter(model, config.lora)
    layer = objective.hidden_layer(config.objective_options)
    wrapper = WRAPPERS.named(config.wrapper) if config.wrapper else None
    if wrapper:
        wrapper.check_options(config.wrapper_options)
    needs_retain = objective.needs_retain or (wrapper is not None and wrapper.needs_retain)
    kept = retain if regularizer != "none" or needs_retain else []
    rows = [TrainingRow(i, e, is_forget=True) for i, e in enumerate(forget)]
    rows += [TrainingRow(len(rows) + i, e, False, is_chosen=True) for i, e in enumerate(chosen)]
    rows += [TrainingRow(len(rows) + i, e, is_forget=False) for i, e in enumerate(kept)]
    referenced = [
        row
        for row in rows
        if (objective.needs_reference if row.is_forget or row.is_chosen else "kl" in regularizer)
    ]
    reference = None
    if referenced:
        reference = ReferenceCache(
            policy, policy.disable_adapter(), referenced, tokenizer.pad_token_id
        )
    reference_layer = None
    if layer is not None:
        retained = [row for row in rows if not (row.is_forget or row.is_chosen)]
        reference_layer = ReferenceCache(
            policy, policy.disable_adapter(), retained, tokenizer.pad_token_id, layer=layer
        )

    checkpoints = output.with_name(f"{output.name}.checkpoints")
    trainer = _Trainer(
        policy, tokenizer, rows, reference, reference_layer, config, regularizer, checkpoints, seed
    )
    if wrapper:
        trainer.localize(policy, wrapper)
    with progress_bar(title) as advance, disk_errors(checkpoints):
        trainer.add_callback(_Progress(advance))
        try:
            trainer.train(resume_from_checkpoint=_last_checkpoint(checkpoints))
        except Exception:
            _last_checkpoint(checkpoints)  # a full disk leaves half of one
            raise
    history = [row for row in trainer.state.log_history if "loss" in row]
    scale_adapter(policy, config.lora.scale)
    with atomic_path(output) as temporary:
        policy.save_pretrained(str(temporary))
        write_jsonl(temporary / "history.jsonl", history)
        if wrapper:
            localization = {"wrapper": config.wrapper, "trained_share": trainer.trained_share}
            write_json(temporary / "localization.json", localization)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return policy.eval()


class _Trainer(Trainer):
    """Trainer whose loss is an objective on forget rows plus a regularizer on retain rows."""

    def __init__(
        self,
        policy: PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[TrainingRow],
        reference: ReferenceCache | None,
        reference_layer: ReferenceCache | None,
        config: TrainingConfig,
        regularizer: str,
        checkpoints: Path,
        seed: int,
    ) -> None:
        forget_per_batch = config.batch_size
        retain_per_batch = max(1, round(config.batch_size * config.retain_ratio))
        super().__init__(
            model=policy,
            processing_class=tokenizer,
            train_dataset=rows,
            data_collator=lambda batch: collate(batch, tokenizer.pad_token_id),
            args=_arguments(config, policy.dtype, checkpoints, seed),
        )
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        # The terms are already means over the optimizer step.
        self.loss_is_scaled_for_ga = True
        self._sampler = MixedBatchSampler(rows, forget_per_batch, retain_per_batch, seed)
        self._reference = reference
        self._reference_layer = reference_layer
        self._config = config
        self._objective = OBJECTIVES.named(config.objective)
        self._regularizer = regularizer
        self._parts: dict[str, float] = defaultdict(float)

    def get_train_dataloader(self) -> DataLoader:
        loader = DataLoader(
            self.train_dataset,  # type: ignore[arg-type]  # a sequence serves as a dataset
            batch_sampler=self._sampler,
            collate_fn=self.data_collator,
        )
        return self.accelerator.prepare(loader)

    def _get_num_items_in_batch(  # type: ignore[override]
        self, batch_samples: list[dict[str, Tensor]], device: torch.device
    ) -> dict[str, Tensor]:
        """Count each unit over all micro-batches and ranks of the optimizer step."""
        names = ("forget_tokens", "retain_tokens", "chosen_tokens", "forget_rows", "retain_rows")
        counts = torch.zeros(len(names), dtype=torch.long, device=device)
        for batch in batch_samples:
            forget, chosen = batch["is_forget"].to(device), batch["is_chosen"].to(device)
            retain = ~(forget | chosen)
            tokens = (batch["labels"] != IGNORE).sum(1).to(device)
            counts += torch.stack(
                [tokens[forget].sum(), tokens[retain].sum(), tokens[chosen].sum(),
                 forget.sum(), retain.sum()]
            )  # fmt: skip
        if self.args.world_size > 1:
            counts = self.accelerator.reduce(counts, "sum")
        return dict(zip(names, counts.clamp(min=1), strict=True))

    def compute_loss(  # type: ignore[override]
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Return this micro-batch's share of the optimizer step's loss."""
        assert num_items_in_batch is not None
        stats = self._statistics(model, inputs)
        terms = self._objective.terms(stats, **self._options())
        terms += retain_terms(stats, self._regularizer, self._config.retain_weight)
        loss = torch.zeros((), device=stats.log_probs.device)
        for term in terms:
            mean = term.values.sum() / num_items_in_batch[term.unit]
            self._parts[term.name] += mean.item()
            loss = loss + term.weight * mean
        # Data parallelism averages gradients over ranks, but the terms are already shares.
        return loss * self.accelerator.num_processes

    def _statistics(self, model: nn.Module, inputs: dict[str, Tensor]) -> TokenStatistics:
        return token_statistics(
            model, inputs, self._reference, self._objective, self._options(), self._reference_layer
        )

    def localize(self, policy: PeftModel, wrapper: Wrapper) -> None:
        """Let only what the wrapper finds change."""
        options = self._options()

        def forgetting(stats: TokenStatistics) -> list[Term]:
            terms = self._objective.terms(stats, **options)
            return [term for term in terms if not term.unit.startswith("retain")]

        def keeping(stats: TokenStatistics) -> list[Term]:
            return retain_terms(stats, "ce", 1.0)  # the KL's gradient is still zero

        masks = wrapper.masks(
            self._gradients(policy, forgetting),
            self._gradients(policy, keeping) if wrapper.needs_retain else {},
            **self._config.wrapper_options,
        )
        self.trained_share = apply_masks(policy, masks)

    def _gradients(
        self, policy: PeftModel, terms: Callable[[TokenStatistics], list[Term]]
    ) -> dict[str, Tensor]:
        """Return the gradients of the mean of `terms` over all rows, where there are any."""
        batches = [self._prepare_inputs(batch) for batch in self.get_train_dataloader()]
        counts = self._get_num_items_in_batch(batches, self.args.device)
        policy.eval()
        for batch in batches:
            stats = self._statistics(policy, batch)
            loss = sum(
                (t.weight * t.values.sum() / counts[t.unit] for t in terms(stats)),
                torch.zeros((), device=self.args.device),
            )
            if loss.requires_grad:
                loss.backward()
        gradients = {}
        for name, parameter in policy.named_parameters():
            if parameter.grad is not None:
                gradients[name] = self.accelerator.reduce(parameter.grad, "sum")
                parameter.grad = None
        # With LoRA, A's gradient is exactly zero as long as B is: there is nothing to look at.
        return {name: g for name, g in gradients.items() if g.any()}

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the terms to the step's log; stop when the loss is no number any more."""
        if "loss" in logs:
            if not math.isfinite(logs["loss"]):
                raise UserError(
                    f"training diverged: the loss is {logs['loss']} at step "
                    f"{self.state.global_step}.",
                    "Lower training.learning_rate or training.epochs.",
                )
            logs |= {"step": self.state.global_step} | self._parts
            if self._objective.update:
                logs |= self._objective.update(self._parts, **self._options())
            self._parts.clear()
        super().log(logs, *args, **kwargs)

    def _options(self) -> dict[str, Any]:
        """Return the objective's options; those that change live in the log, as checkpoints do."""
        options = self._objective.options() | self._config.objective_options
        last = self.state.log_history[-1] if self.state.log_history else {}
        return options | {name: last[name] for name in self._objective.state if name in last}


def _arguments(
    config: TrainingConfig, dtype: torch.dtype, checkpoints: Path, seed: int
) -> TrainingArguments:
    has_accelerator = torch.accelerator.is_available()
    return TrainingArguments(
        output_dir=str(checkpoints),
        seed=seed,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=config.warmup_ratio,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        # The adapter's weights stay float32; the products run in the model's type.
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16 and has_accelerator,
        use_cpu=not has_accelerator,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=config.checkpoint_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=has_accelerator,
    )


class _Progress(TrainerCallback):
    """Moves a progress bar."""

    def __init__(self, advance: Any) -> None:
        self._advance = advance

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        loss = state.log_history[-1].get("loss") if state.log_history else None
        note = "" if loss is None else f"loss {loss:.3f}"
        self._advance(state.global_step, state.max_steps, note)


def _last_checkpoint(folder: Path) -> str | None:
    """Return the newest whole checkpoint and delete what is newer and not whole.

    The trainer state is what is written last.
    """
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text())
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
        else:
            return str(checkpoint)
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
