"""The training engine: from rows and a configuration to a trained model in a folder."""

import gc
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from relearn.base.distributed import by_leader, meet, process_count
from relearn.base.errors import UserError
from relearn.base.progress import progress_bar
from relearn.base.storage import atomic_path, disk_errors, read_json, write_json, write_jsonl
from relearn.config import TrainingConfig
from relearn.data.batching import IGNORE, TrainingRow, collate, pack, to_device
from relearn.data.tokenization import Example
from relearn.models.adapters import (
    adapted,
    add_adapter,
    load_adapter,
    scale_adapter,
    scale_change,
)
from relearn.models.fused_lora import fused_lora
from relearn.models.fused_parts import fused_parts
from relearn.models.label_logits import label_logits
from relearn.models.packed_attention import can_pack, packing
from relearn.models.precision import is_native, native_precision
from relearn.models.recomputation import recomputation
from relearn.training.plan import TrainingPlan
from relearn.training.statistics import token_statistics
from relearn.training.trainer import ObjectiveTrainer

_SIZES = "sizes.json"  # of a checkpoint's files


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
    adapter: Path | None = None,
) -> PreTrainedModel | PeftModel:
    """Train `model`, or an adapter on it, and write it to `output` with its `history.jsonl`.

    A training that was killed goes on from its last checkpoint, to the same weights.

    Args:
        model: Changed in place.
        tokenizer: Saved in checkpoints; its pad token pads.
        forget: Rows of the forget objective.
        retain: Rows of the retain regularizer; may be empty.
        config: Objective and hyper-parameters.
        output: Folder that appears when the training is finished.
        seed: Fixes initialization, order and dropout.
        title: Shown beside the progress bar.
        chosen: Preferred answers, one for each of `forget`, where the objective is about pairs.
        adapter: Folder of an adapter of `model` to train further; None for a fresh one. The
            reference is `model` without it.

    Returns:
        The trained model; an adapter is on.

    Raises:
        UserError: unknown objective or option, or the loss is no longer a finite number.
    """
    set_seed(seed)
    checkpoints = output.with_name(f"{output.name}.checkpoints")
    pad_token_id = tokenizer.pad_token_id
    plan = TrainingPlan(config, forget, chosen, retain, pad_token_id, checkpoints, seed)
    dtype = model.dtype
    with native_precision(model):
        policy = _policy(model, config, adapter)
        packed = config.packing and packs_exactly(policy, plan.rows, plan.pad_token_id)
        config = config.model_copy(update={"packing": packed})
        products = dtype if is_native(dtype, model.device) else torch.float32
        # An adapter's products are made in the type of the frozen weights as they are.
        own = config.method != "full" and products != torch.float16
        autocast = None if own else products
        plan = replace(plan, config=config, autocast=autocast)
        with fast_ways(policy, packed), disk_errors(checkpoints):
            trainer = ObjectiveTrainer(policy, tokenizer, plan)
            trainer.take_references(partial(_adapter_off, policy))
            with progress_bar(title) as advance:
                trainer.add_callback(_Progress(advance))
                trainer.add_callback(_WholeCheckpoints())
                _train(trainer, checkpoints)
        sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
        if not sharded:
            _scale(dict(policy.named_parameters()), policy, dtype, config)
    if config.method == "full":
        policy.to(dtype)
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped) if sharded else None
    if state:  # one process has it, for all
        _scale(state, policy, dtype, config)

    def finish() -> None:
        _write(trainer, policy, tokenizer, output, config, state)
        shutil.rmtree(checkpoints, ignore_errors=True)

    by_leader(finish)
    return policy.eval()


def _scale(
    weights: Mapping[str, Tensor], policy: Any, dtype: torch.dtype, config: TrainingConfig
) -> None:
    """Multiply what the training changed by `lora.scale`, in weights that are whole."""
    if config.lora.scale == 1:
        return
    if config.method == "full":
        scale_change(weights, policy, dtype, config.lora.scale)
    else:
        scale_adapter(weights, config.lora.scale)


def _policy(model: PreTrainedModel, config: TrainingConfig, adapter: Path | None) -> Any:
    """Return what is trained."""
    if config.gradient_checkpointing:
        # The reentrant kind gives no gradient where the input needs none, as with an adapter.
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.method != "full":
        return load_adapter(model, adapter) if adapter else add_adapter(model, config.lora)
    folder = model.name_or_path
    if config.lora.scale != 1 and not (folder and Path(folder).is_dir()):
        raise UserError(
            "training.lora.scale needs the weights before training, and the model has no folder.",
            "Load the model from a folder, or leave the setting out.",
        )
    # Steps of the learning rate's size would be lost in 16 bits.
    return model.requires_grad_().float()


@torch.no_grad()
def packs_exactly(policy: Any, rows: Sequence[TrainingRow], pad_token_id: int) -> bool:
    """Tell whether packed rows get the log-probabilities that the plain model gives them.

    Tried on the longest and the shortest row, where what a model does unlike others shows; without
    the adapter, which adds nothing yet.
    """
    model = adapted(policy)
    if not can_pack(model):
        return False
    by_length = sorted(rows, key=lambda row: len(row.example))
    tried = [by_length[0], by_length[-1]]
    batch = to_device(collate(tried, pad_token_id), model.device)
    keep = batch["labels"] != IGNORE
    with _adapter_off(policy):
        logits = label_logits(policy, batch["input_ids"], batch["attention_mask"], keep)
    plain = logits.float().log_softmax(-1).gather(1, batch["labels"][keep][:, None])[:, 0]
    packed_batch = to_device(pack(tried), model.device)
    try:
        with fast_ways(policy, packed=True), _adapter_off(policy):
            packed = token_statistics(policy, packed_batch, None).log_probs
    except (TypeError, ValueError, RuntimeError):
        return False
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.1
    return bool((packed - plain).abs().mean() < tolerance)


def _adapter_off(policy: Any) -> AbstractContextManager[Any]:
    """Return a context in which the policy is the model as it was."""
    return policy.disable_adapter() if isinstance(policy, PeftModel) else nullcontext()


@contextmanager
def fast_ways(policy: Any, packed: bool) -> Iterator[None]:
    """Let the policy compute by the faster ways while this lasts."""
    model = adapted(policy)
    # Elsewhere Liger's kernels do what the fused parts do; sharded weights come and go.
    alone = model.device.type == "cpu" and process_count() == 1
    with (
        fused_lora(policy),
        fused_parts(model) if alone else nullcontext(),
        recomputation() if alone else nullcontext(),
        packing(model) if packed else nullcontext(),
    ):
        yield


def _train(trainer: ObjectiveTrainer, checkpoints: Path) -> None:
    """Train from the last checkpoint there is."""
    _check_saving(trainer)
    last = by_leader(lambda: _last_checkpoint(checkpoints))
    # Otherwise the collector looks through all that was imported again and again.
    gc.freeze()
    try:
        trainer.train(resume_from_checkpoint=last)
    except Exception:
        if trainer.is_world_process_zero():
            _last_checkpoint(checkpoints)  # a full disk leaves half of one
        raise
    finally:
        gc.unfreeze()


def _check_saving(trainer: ObjectiveTrainer) -> None:
    """Refuse, before training, a sharding whose weights could not be gathered after it."""
    if not trainer.is_deepspeed_enabled:
        return
    zero = trainer.accelerator.state.deepspeed_plugin.deepspeed_config["zero_optimization"]
    if zero["stage"] == 3 and not zero.get("stage3_gather_16bit_weights_on_model_save"):
        raise UserError(
            "DeepSpeed's ZeRO-3 would not save the trained weights as a whole.",
            "Set zero3_save_16bit_model: true in accelerate's configuration.",
        )


def _write(
    trainer: ObjectiveTrainer,
    policy: Any,
    tokenizer: PreTrainedTokenizerBase,
    output: Path,
    config: TrainingConfig,
    state: dict[str, Any] | None,
) -> None:
    """Write the trained weights, `state` where they were sharded, and how they came about."""
    log = trainer.state.log_history
    with atomic_path(output) as temporary:
        policy.save_pretrained(str(temporary), state_dict=state)
        if config.method == "full":
            tokenizer.save_pretrained(temporary)
        write_jsonl(temporary / "history.jsonl", [row for row in log if "loss" in row])
        if config.evaluation_steps:
            evaluations = [row for row in log if "eval_forget_ce" in row]
            write_jsonl(temporary / "evaluations.jsonl", evaluations)
        if config.wrapper:
            localization = {"wrapper": config.wrapper, "trained_share": trainer.trained_share}
            write_json(temporary / "localization.json", localization)


class _Progress(TrainerCallback):
    """Moves a progress bar, and leaves out the checkpoint after the last step."""

    def __init__(self, advance: Any) -> None:
        self._advance = advance

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        loss = state.log_history[-1].get("loss") if state.log_history else None
        note = "" if loss is None else f"loss {loss:.3f}"
        self._advance(state.global_step, state.max_steps, note)
        if state.global_step >= state.max_steps:
            control.should_save = False  # what comes next is the trained model itself


class _WholeCheckpoints(TrainerCallback):
    """Notes the sizes of a checkpoint's files once all are written, by which it is known whole."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        meet()  # each process writes files of its own
        if state.is_world_process_zero:
            checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            write_json(checkpoint / _SIZES, _sizes(checkpoint))


def _sizes(checkpoint: Path) -> dict[str, int]:
    files = [file for file in checkpoint.rglob("*") if file.is_file() and file.name != _SIZES]
    return {str(file.relative_to(checkpoint)): file.stat().st_size for file in sorted(files)}


def _last_checkpoint(folder: Path) -> str | None:
    """Return the newest whole checkpoint and delete what is newer and not whole."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        if _is_whole(checkpoint):
            return str(checkpoint)
        shutil.rmtree(checkpoint)
    return None


def _is_whole(checkpoint: Path) -> bool:
    try:
        noted = read_json(checkpoint / _SIZES)
    except (OSError, ValueError):
        return False
    return bool(noted == _sizes(checkpoint))


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
