"""The Hugging Face Trainer, stepping on an objective's terms."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from statistics import fmean
from typing import Any, cast

import torch
from accelerate.data_loader import prepare_data_loader
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import ExportableState

from relearn.base.progress import console
from relearn.data.batching import (
    Batch,
    MixedBatchSampler,
    TrainingRow,
    TrainingRows,
    to_device,
)
from relearn.models.hidden_states import layer_count
from relearn.objectives import BatchRows, Term, TokenStatistics
from relearn.objectives.regularizers import retain_terms
from relearn.training.arguments import arguments_of
from relearn.training.divergence import Divergence
from relearn.training.plan import TrainingPlan
from relearn.training.statistics import ReferenceCache, token_statistics
from relearn.training.within_memory import Gradients, halves
from relearn.training.wrappers import Wrapper, freeze_masked_out, mask_gradients


class ObjectiveState(TrainerCallback, ExportableState):
    """Those of an objective's options that change from step to step; kept in checkpoints.

    Attributes:
        values: By name; empty before the first step.
    """

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"args": {}, "attributes": {"values": self.values}}


class _StepEnd(TrainerCallback):
    """Does something after each optimizer step."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._work()


class _MaskGradients(TrainerCallback):
    """Masks the gradients of a model that is sharded as its training begins."""

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self._masks = masks

    def on_train_begin(self, *_: Any, model: nn.Module, **__: Any) -> None:  # type: ignore[override]
        mask_gradients(model, self._masks)


class ObjectiveTrainer(Trainer):
    """Trainer whose loss is an objective on forget rows plus a regularizer on retain rows.

    Args:
        policy: What is trained.
        tokenizer: Saved in checkpoints.
        plan: Rows, objective and hyper-parameters.
        args: transformers' arguments; None means those that the plan makes, and a silent trainer.
        callbacks: Further ones.
        optimizers: Optimizer and schedule; None means those that the arguments name.
    """

    def __init__(
        self,
        policy: Any,
        tokenizer: PreTrainedTokenizerBase,
        plan: TrainingPlan,
        args: TrainingArguments | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
    ) -> None:
        config = plan.config
        super().__init__(
            model=policy,
            processing_class=tokenizer,
            train_dataset=TrainingRows(plan.rows),
            eval_dataset=TrainingRows(plan.rows),
            data_collator=cast(Any, plan.collate),
            args=args or arguments_of(plan),
            callbacks=callbacks,
            optimizers=optimizers,
        )
        if args is None:
            self.remove_callback(PrinterCallback)
            self.remove_callback(ProgressCallback)
        self.add_callback(ObjectiveState())
        self.add_callback(_StepEnd(self._end_step))
        # The terms are already means over the optimizer step.
        self.loss_is_scaled_for_ga = True
        self._plan = plan
        self._sampler = MixedBatchSampler(
            plan.rows,
            config.batch_size,
            config.batch_size * config.retain_ratio,
            plan.seed,
            grouped=not config.packing,
            process=self.args.process_index,
            processes=self.args.world_size,
        )
        self._reference: ReferenceCache | None = None
        self._reference_layer: ReferenceCache | None = None
        self._objective = plan.objective
        self._parts: dict[str, Tensor] = defaultdict(
            lambda: torch.zeros((), device=self.args.device)
        )
        self._steps: list[dict[str, float]] = []
        self._divergence = Divergence(policy.config.get_text_config().vocab_size)

    def take_references(
        self, adapter_off: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        """Compute, once and before training, what is asked of the model as it was.

        These are the reference's hidden states, and the part of the model that may change.

        Args:
            adapter_off: Makes a context in which the policy is the reference.
        """
        policy, plan = cast(nn.Module, self.model), self._plan

        def cached(rows: list[TrainingRow], layer: int | None = None) -> ReferenceCache | None:
            if not rows:
                return None
            return ReferenceCache(policy, adapter_off(), rows, plan.collate, layer=layer)

        layer = plan.objective.hidden_layer(plan.options, layer_count(policy))
        self._reference_layer = cached(plan.retained, layer) if layer is not None else None
        self._reference = cached(plan.referenced)
        if plan.wrapper:
            self.localize(policy, plan.wrapper)

    def get_train_dataloader(self) -> DataLoader:
        """Return this process's batches of an epoch."""
        loader = DataLoader(
            self.train_dataset,  # type: ignore[arg-type]  # a sequence serves as a dataset
            batch_sampler=self._sampler,
            collate_fn=self.data_collator,
        )
        # The sampler itself gives each process its share.
        return prepare_data_loader(loader, self.args.device, 1, 0, put_on_device=False)

    def _get_num_items_in_batch(  # type: ignore[override]
        self, batch_samples: list[dict[str, Tensor]], device: torch.device
    ) -> dict[str, int]:
        """Count each unit over all micro-batches and ranks of the optimizer step."""
        options = self._options()
        counted = [
            self._objective.counts(
                BatchRows(**{field.name: batch[field.name] for field in fields(BatchRows)}),
                options,
            )
            for batch in batch_samples
        ]
        counts = torch.tensor([[int(n) for n in each.values()] for each in counted]).sum(0)
        if self.args.world_size > 1:
            counts = self.accelerator.reduce(counts.to(device), "sum")
        return dict(zip(counted[0], counts.tolist(), strict=True))

    def _prepare_inputs(self, inputs: Batch) -> Batch:  # type: ignore[override]
        return to_device(inputs, self.args.device)

    def training_step(  # type: ignore[override]
        self, model: nn.Module, inputs: Batch, num_items_in_batch: dict[str, int] | None = None
    ) -> Tensor:
        """Add a micro-batch's gradients; where memory runs out, those of its halves."""
        step = super().training_step
        # Alone: processes that share gradients must all take the same steps.
        if self.args.world_size > 1:
            return step(model, cast(Any, inputs), cast(Any, num_items_in_batch))
        before = Gradients.kept(model)
        parts = {name: v.clone() for name, v in self._parts.items()}
        try:
            return step(model, cast(Any, inputs), cast(Any, num_items_in_batch))
        except RuntimeError as error:
            rows = cast(TrainingRows, self.train_dataset)
            parted = halves([rows[int(i)] for i in inputs["index"]])
            if before is None or parted is None or not should_reduce_batch_size(error):
                raise
        # Outside of the handler, whose error holds on to the tensors of the failed attempt.
        before.restore()
        self._parts.clear()
        self._parts.update(parts)
        clear_device_cache(garbage_collection=True)
        first, second = (
            self.training_step(model, self._plan.collate(half), num_items_in_batch)
            for half in parted
        )
        return first + second

    def compute_loss(  # type: ignore[override]
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: dict[str, int] | None = None,
    ) -> Tensor:
        """Return this micro-batch's share of the optimizer step's loss."""
        assert num_items_in_batch is not None
        stats = self._statistics(model, inputs)
        terms = self._objective.terms(stats, **self._options())
        terms += retain_terms(stats, self._plan.regularizer, self._plan.retain_weight)
        # Also where no term reads a statistic, every process has a gradient to share.
        loss = 0.0 * stats.log_probs.sum()
        for term in terms:
            # A step may have nothing that a term is about: retain rows, where they are few.
            if count := num_items_in_batch[term.unit]:
                mean = term.values.sum() / count
                self._parts[term.name] += mean.detach()
                loss = loss + term.weight * mean
        if count := num_items_in_batch["retain_tokens"]:
            kept = -stats.log_probs.detach()[stats.retain_tokens].sum()
            self._parts["_retain_ce"] += kept / count
        # Data parallelism averages gradients over ranks, but the terms are already shares.
        return loss * self.accelerator.num_processes

    def _statistics(self, model: nn.Module, inputs: Batch) -> TokenStatistics:
        return token_statistics(
            model,
            inputs,
            self._reference,
            self._objective,
            self._options(),
            self._reference_layer,
            self._plan.regularizer,
        )

    def localize(self, policy: nn.Module, wrapper: Wrapper) -> None:
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
            **self._plan.config.wrapper_options,
        )
        self.trained_share = freeze_masked_out(policy, masks)
        if self.is_fsdp_enabled:
            self.add_callback(_MaskGradients(masks))
        else:
            mask_gradients(policy, masks)

    def _gradients(
        self, policy: nn.Module, terms: Callable[[TokenStatistics], list[Term]]
    ) -> dict[str, Tensor]:
        """Return the gradients of the mean of `terms` over all rows, where there are any."""
        batches = [self._prepare_inputs(batch) for batch in self.get_train_dataloader()]
        counts = self._get_num_items_in_batch(cast(Any, batches), self.args.device)
        policy.eval()
        for batch in batches:
            stats = self._statistics(policy, batch)
            loss = 0.0 * stats.log_probs.sum()  # every process has gradients to share
            for term in terms(stats):
                loss = loss + term.weight * term.values.sum() / max(counts[term.unit], 1)
            loss.backward()
        gradients = {}
        for name, parameter in policy.named_parameters():
            if parameter.grad is not None:
                gradients[name] = self.accelerator.reduce(parameter.grad, "sum")
                parameter.grad = None
        # With LoRA, A's gradient is exactly zero as long as B is: there is nothing to look at.
        return {name: g for name, g in gradients.items() if g.any()}

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Log the cross-entropy of the first rows of each kind, in nats per answer token."""
        kinds = {
            "forget": [row for row in self._plan.rows if row.is_forget],
            "chosen": [row for row in self._plan.rows if row.is_chosen],
            "retain": self._plan.retained,
        }
        values = {
            f"eval_{kind}_ce": self._cross_entropy(rows[: self._plan.config.evaluation_rows])
            for kind, rows in kinds.items()
            if rows
        }
        self.log({"step": self.state.global_step, **values})
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, values
        )
        return values

    @torch.no_grad()
    def _cross_entropy(self, rows: Sequence[TrainingRow]) -> float:
        model, size = self.model_wrapped, self._plan.config.batch_size
        was_training = model.training
        model.eval()
        batches = (self._plan.collate(rows[i : i + size]) for i in range(0, len(rows), size))
        parts = [token_statistics(model, self._prepare_inputs(b), None) for b in batches]
        model.train(was_training)
        return -torch.cat([stats.log_probs for stats in parts]).mean().item()

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the terms' means since the last log; stop where the loss shows nothing is left."""
        if "loss" in logs:
            names = dict.fromkeys(name for means in self._steps for name in means)
            parts = {n: fmean(m[n] for m in self._steps if n in m) for n in names}
            self._steps.clear()
            logs |= {"step": self.state.global_step} | parts
            retain_ce = logs.pop("_retain_ce", 0.0)
            logs |= self._objective_state().values
            if reason := self._divergence.seen_in(logs, retain_ce):
                console.print(f"stopped: {reason}", style="yellow", highlight=False)
                logs["stopped"] = reason  # type: ignore[assignment]
                self.control.should_training_stop = True
        super().log(logs, *args, **kwargs)

    def _end_step(self) -> None:
        """Keep the step's terms for the log, and let the objective's options follow them."""
        means = self._step_means()
        self._steps.append(means)
        if self._objective.update:
            changed = self._objective.update(means, self.state.epoch, **self._options())
            self._objective_state().values |= changed

    def _step_means(self) -> dict[str, float]:
        """Return the step's mean over all ranks of each term that has one, and forget them."""
        values = torch.stack(list(self._parts.values()))
        if self.args.world_size > 1:
            values = self.accelerator.reduce(values, "sum")
        means = dict(zip(self._parts, values.tolist(), strict=True))
        self._parts.clear()
        return means

    def _options(self) -> dict[str, Any]:
        """Return the objective's options as they are at this step."""
        return self._plan.options | self._objective_state().values

    def _objective_state(self) -> ObjectiveState:
        """Return the objective's state; a resumed training has put a new one in its place."""
        callbacks = self.callback_handler.callbacks
        return next(each for each in callbacks if isinstance(each, ObjectiveState))
