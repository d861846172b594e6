"""transformers' TrainingArguments: with what unlearning needs besides, or as a plan makes them."""

from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

import torch
from pydantic import ValidationError
from transformers import TrainingArguments

from relearn.base.errors import UserError
from relearn.config import LigerKernel, Section, TrainingConfig
from relearn.training.checks import check_kernels
from relearn.training.plan import TrainingPlan

S = TypeVar("S", bound=Section)
_DEFAULTS = TrainingConfig()


def liger_settings(names: list[LigerKernel]) -> dict[str, bool]:
    """Return which of Liger's kernels are wanted; its losses never: they are the objective's."""
    losses = ("cross_entropy", "fused_linear_cross_entropy")
    return {name: name in names for name in (*get_args(LigerKernel), *losses)}


@dataclass
class UnlearningConfig(TrainingArguments):
    """Arguments of `UnlearningTrainer`: those of transformers, and the following.

    `per_device_train_batch_size` counts forget rows; retain rows are added to them. Defaults that
    differ from transformers' are the paper's for an adapter on TOFU. The data loader is relearn's
    own: arguments about it, and `remove_unused_columns`, have no effect.

    Attributes:
        objective: Forget objective by name (`relearn list objectives`).
        objective_options: The objective's own hyper-parameters.
        retain_regularizer: Loss on the retain rows: `none`, `ce`, `kl` or `ce+kl`; None means the
            objective's default.
        retain_weight: Weight of that loss; None means the objective's default.
        retain_ratio: Retain rows per forget row, spread evenly over the batches.
        wrapper: `sure` or `memflex` restrict training to the part of the model that they select.
        wrapper_options: The wrapper's own hyper-parameters.
        packing: Concatenate a batch's rows instead of padding them, if the model gives the same
            log-probabilities then.
        max_length: Longest row, in tokens; a longer one is refused, not truncated.
        evaluation_rows: Rows of each kind (the first ones) that `evaluate()` takes.
        synthesis: How new answers are written for objectives that learn some, if the trainer is
            given none: the settings of `synthesis`.
        columns: Names of the data sets' columns: the settings of `data.columns`.
        system: System message of every prompt; None means the records' own, if they have one.
        prompt: How a question becomes a prompt: the settings of `model.prompt`.
    """

    # Given as JSON on a command line that HfArgumentParser reads.
    _VALID_DICT_FIELDS = [  # noqa: RUF012  # as transformers declares it
        *TrainingArguments._VALID_DICT_FIELDS,
        *("objective_options", "wrapper_options", "synthesis", "columns", "prompt"),
    ]

    objective: str = _DEFAULTS.objective
    objective_options: dict[str, Any] | str | None = None
    retain_regularizer: str | None = None
    retain_weight: float | None = None
    retain_ratio: float = _DEFAULTS.retain_ratio
    wrapper: str | None = None
    wrapper_options: dict[str, Any] | str | None = None
    packing: bool = _DEFAULTS.packing
    max_length: int = _DEFAULTS.max_length
    evaluation_rows: int = _DEFAULTS.evaluation_rows
    synthesis: dict[str, Any] | str | None = None
    columns: dict[str, Any] | str | None = None
    system: str | None = None
    prompt: dict[str, Any] | str | None = None

    learning_rate: float = _DEFAULTS.learning_rate
    num_train_epochs: float = _DEFAULTS.epochs
    per_device_train_batch_size: int = _DEFAULTS.batch_size
    gradient_accumulation_steps: int = _DEFAULTS.gradient_accumulation
    lr_scheduler_type: str = _DEFAULTS.scheduler
    warmup_steps: float = _DEFAULTS.warmup_ratio
    weight_decay: float = _DEFAULTS.weight_decay
    optim: str = _DEFAULTS.optimizer
    logging_steps: float = 1
    # A loss that is no number must be seen, not smoothed away.
    logging_nan_inf_filter: bool = False
    # An objective's state is in a callback.
    restore_callback_states_from_checkpoint: bool = True
    ddp_find_unused_parameters: bool | None = field(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.remove_unused_columns = False
        self.dataloader_pin_memory = False
        if self.use_liger_kernel and not self.liger_kernel_config:
            self.liger_kernel_config = liger_settings(list(get_args(LigerKernel)))

    def training(self) -> TrainingConfig:
        """Return what these arguments are in relearn's own configuration.

        Raises:
            UserError: one of them is out of range.
        """
        own = ("objective", "objective_options", "retain_regularizer", "retain_weight",
               "retain_ratio", "wrapper", "wrapper_options", "packing", "max_length",
               "evaluation_rows")  # fmt: skip
        given = {name: getattr(self, name) for name in own}
        for name in ("objective_options", "wrapper_options"):
            given[name] = given[name] or {}
        given["batch_size"] = self.per_device_train_batch_size
        given["gradient_accumulation"] = self.gradient_accumulation_steps
        return as_section(TrainingConfig, given)


def as_section(kind: type[S], values: Any, name: str = "") -> S:
    """Return arguments as a section of relearn's own configuration.

    Args:
        kind: The section.
        values: By setting; None means the defaults.
        name: The argument that holds them; empty for the arguments themselves.

    Raises:
        UserError: one of them is out of range.
    """
    try:
        return kind.model_validate(values or {})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(["UnlearningConfig", *filter(None, [name]), *map(str, first["loc"])])
        raise UserError(f"{place}: {first['msg']}.", "Correct it.") from error


def arguments_of(plan: TrainingPlan) -> TrainingArguments:
    """Return the arguments that a plan makes, of a trainer that says nothing itself."""
    config, autocast = plan.config, plan.autocast
    check_kernels(config.liger_kernels)
    has_accelerator = torch.accelerator.is_available()
    return TrainingArguments(
        output_dir=str(plan.checkpoints),
        seed=plan.seed,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        use_liger_kernel=bool(config.liger_kernels),
        liger_kernel_config=liger_settings(config.liger_kernels),
        optim=config.optimizer,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=config.warmup_ratio,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=autocast == torch.bfloat16,
        fp16=autocast == torch.float16 and has_accelerator,
        use_cpu=not has_accelerator,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if config.evaluation_steps else "no",
        eval_steps=config.evaluation_steps,
        save_steps=config.checkpoint_steps,
        save_total_limit=2,
        restore_callback_states_from_checkpoint=True,
        report_to=config.report_to or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
    )
