"""What a training's settings ask for, checked before anything is computed."""

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import torch
from huggingface_hub import parse_local_safetensors_file_metadata
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, Trainer, TrainingArguments, get_scheduler
from transformers.integrations import get_available_reporting_integrations
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from relearn.base.distributed import process_count
from relearn.base.errors import UserError
from relearn.base.extras import need
from relearn.base.registry import did_you_mean
from relearn.config import TrainingConfig
from relearn.models.adapters import check_adapter
from relearn.models.hidden_states import decoder_layer, layer_count
from relearn.models.loading import check_quantization
from relearn.objectives import OBJECTIVES
from relearn.training.wrappers import WRAPPERS

# Bytes that each weight takes: full fine-tuning keeps it, its gradient and AdamW's two moments in
# float32. An adapter is small beside the weights that it is trained on.
_FULL, _FOUR_BITS = 16, 0.5


def check_training(config: TrainingConfig) -> None:
    """Refuse settings of a training that could only fail later.

    Raises:
        UserError: an unknown objective, wrapper, optimizer, schedule, tracker or option; an option
            of the wrong type or out of its range; a package or device that a setting needs and this
            machine lacks.
    """
    OBJECTIVES.named(config.objective).options.check(config.objective_options)
    objective = OBJECTIVES.named(config.objective)
    if config.endings and (objective.forget_data != "synthesized" or objective.chosen_data):
        raise UserError(
            f"training.endings: {config.objective} learns no new answers, and so no endings.",
            "Leave the setting out, or choose an objective such as relearn.",
        )
    if config.wrapper:
        WRAPPERS.named(config.wrapper).options.check(config.wrapper_options)
    check_optimizer(config.optimizer)
    check_scheduler(config.scheduler)
    check_trackers(config.report_to)
    check_kernels(config.liger_kernels)
    if config.method == "qlora":
        check_quantization()


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that transformers does not know, or whose package is missing.

    Raises:
        UserError: names the tracker and those at hand.
    """
    known = get_available_reporting_integrations()
    for name in names:
        if name not in known:
            raise UserError(
                f"training.report_to: the tracker {name!r} is not installed.",
                f"Install its package; at hand: {', '.join(known) or 'none'}.",
            )


def check_kernels(names: Sequence[str]) -> None:
    """Refuse Liger's kernels where they can't run.

    Raises:
        UserError: the package is missing, or a GPU for it.
    """
    if not names:
        return
    need("liger_kernel", "training.liger_kernels", "leave the setting out")
    if not torch.accelerator.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
        raise UserError("training.liger_kernels need a GPU.", "Leave the setting out.")


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
    objective = OBJECTIVES.named(config.objective)
    layer = objective.hidden_layer(config.objective_options, layer_count(blank))
    if layer is not None:
        decoder_layer(blank, layer)
    if config.method != "full":
        check_adapter(blank, config.lora)


def check_memory(folder: Path, config: TrainingConfig) -> None:
    """Refuse a training whose weights alone are larger than this machine's memory.

    The bound is a lower one: activations come on top, and what passes may still run out. Several
    processes may share the weights out among them, each with memory of its own.

    Args:
        folder: Folder of the model; without safetensors files its size is unknown.
        config: Says which weights are trained, and in which precision.

    Raises:
        UserError: names the memory that is needed and what there is.
    """
    files = list(folder.glob("*.safetensors"))
    weights = sum(
        sum(parse_local_safetensors_file_metadata(file).parameter_count.values()) for file in files
    )
    stored = sum(file.stat().st_size for file in files)
    needed = {"full": _FULL * weights, "qlora": _FOUR_BITS * weights}.get(config.method, stored)
    needed /= process_count()
    available = _memory_bytes()
    if needed > available:
        raise UserError(
            f"training.method {config.method} needs {needed / 2**30:.1f} GiB for the weights of "
            f"{folder.name} alone, and there are {available / 2**30:.1f} GiB.",
            "Take training.method=lora or qlora, a smaller model, or more processes "
            "(docs/many-gpus.md).",
        )


def _memory_bytes() -> int:
    """Return the memory of the device that trains, in bytes."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    return int(psutil.virtual_memory().total)
