"""What a training's settings ask for, checked before anything is computed."""

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, Trainer, TrainingArguments, get_scheduler
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from relearn.base.errors import UserError
from relearn.base.registry import did_you_mean
from relearn.config import TrainingConfig
from relearn.models.adapters import check_adapter
from relearn.models.hidden_states import decoder_layer
from relearn.models.loading import check_quantization
from relearn.objectives import OBJECTIVES
from relearn.training.trainer import check_kernels, check_trackers
from relearn.training.wrappers import WRAPPERS


def check_training(config: TrainingConfig) -> None:
    """Refuse settings of a training that could only fail later.

    Raises:
        UserError: an unknown objective, wrapper, optimizer, schedule, tracker or option; an option
            of the wrong type or out of its range; a package or device that a setting needs and this
            machine lacks.
    """
    OBJECTIVES.named(config.objective).options.check(config.objective_options)
    if config.wrapper:
        WRAPPERS.named(config.wrapper).options.check(config.wrapper_options)
    check_optimizer(config.optimizer)
    check_scheduler(config.scheduler)
    check_trackers(config.report_to)
    check_kernels(config.liger_kernels)
    if config.method == "qlora":
        check_quantization()


def check_optimizer(name: str) -> None:
    """Refuse an optimizer that transformers does not know, or can't make here.

    Raises:
        UserError: names the optimizer, and those there are or what it lacks.
    """
    known = [each.value for each in OptimizerNames]
    if name not in known:
        raise UserError(
            f"training.optimizer: no optimizer is called {name!r}.", did_you_mean(name, known)
        )
    # Real arguments would start the processes' group, with time limits that are not ours.
    defaults = {field.name: field.default for field in fields(TrainingArguments)}
    arguments: Any = SimpleNamespace(**defaults | {"optim": name})
    try:
        Trainer.get_optimizer_cls_and_kwargs(arguments, nn.Linear(1, 1))  # type: ignore[arg-type]
    except (ImportError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"training.optimizer: {name!r} can't be used here: {reason}",
            f"The default is {TrainingConfig().optimizer}.",
        ) from error


def check_scheduler(name: str) -> None:
    """Refuse a learning-rate schedule that does not follow from the number of steps alone.

    Raises:
        UserError: names the schedule and those that do.
    """
    known = [each.value for each in SchedulerType if _follows_from_steps(each.value)]
    if name in known:
        return
    if name in [each.value for each in SchedulerType]:
        problem = f"the schedule {name!r} needs figures or settings of its own"
    else:
        problem = f"no learning-rate schedule is called {name!r}"
    raise UserError(f"training.scheduler: {problem}.", did_you_mean(name, known))


def _follows_from_steps(name: str) -> bool:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))])
    try:
        schedule = get_scheduler(name, optimizer, num_warmup_steps=1, num_training_steps=2)
    except (TypeError, ValueError):
        return False
    return isinstance(schedule, LambdaLR)


def check_fit(config: TrainingConfig, blank: PreTrainedModel) -> None:
    """Refuse settings of a training that the model has no place for.

    Args:
        config: Of the training.
        blank: The model, without its weights.

    Raises:
        UserError: the model has no such layer, or no such modules for an adapter; or peft does not
            know an option.
    """
    layer = OBJECTIVES.named(config.objective).hidden_layer(config.objective_options)
    if layer is not None:
        decoder_layer(blank, layer)
    if config.method != "full":
        check_adapter(blank, config.lora)
