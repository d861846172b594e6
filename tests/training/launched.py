"""Trainings as `accelerate launch` starts them.

launched.py MODEL OUTPUT SETTINGS [fsdp | deepspeed]

SETTINGS has those of each training by name; it is written to OUTPUT/name. It kills itself at the
forward pass that the environment's DIES_AT numbers; until then all but the leader write late.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor

from relearn.config import ModelConfig, TrainingConfig
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.loading import load_model, load_tokenizer
from relearn.objectives import OBJECTIVES
from relearn.training.engine import train
from relearn.training.trainer import ObjectiveTrainer


def examples(prompt_format: PromptFormat, word: str) -> list[Example]:
    """Five rows of many lengths: in batches of two, two processes have one batch too few."""
    return [
        prompt_format.encode(f"What is {word} {i}?", " ".join([word] * (1 + 3 * i % 7)))
        for i in range(5)
    ]


def shard(by: str) -> None:
    """Check that the training is sharded.

    FSDP2 accelerate has for GPUs only: on CPUs it would go on unsharded and say nothing. So let it
    take gloo's processes for GPUs; `ACCELERATE_TORCH_DEVICE=cpu` keeps the tensors where they are.
    """
    if by == "fsdp":
        torch.distributed.init_process_group("gloo")
        PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    step = ObjectiveTrainer.training_step

    def checked(self: ObjectiveTrainer, *arguments: object) -> torch.Tensor:
        assert AcceleratorState().distributed_type.value.lower() == by
        if by == "fsdp":
            assert all(isinstance(p, DTensor) for p in self.model_wrapped.parameters())
        return step(self, *arguments)

    ObjectiveTrainer.training_step = checked


def die_at(number: int) -> None:
    """Kill this process at a forward pass, counted from 1."""
    step = ObjectiveTrainer.training_step
    passes = iter(range(1, 1000))

    def dying(self: ObjectiveTrainer, *arguments: object) -> torch.Tensor:
        if next(passes) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *arguments)

    ObjectiveTrainer.training_step = dying


def write_late() -> None:
    """Let the others write their part of a checkpoint after the leader has written its own."""
    save = ObjectiveTrainer._save_rng_state

    def late(self: ObjectiveTrainer, folder: str) -> None:
        if not self.is_world_process_zero():
            time.sleep(0.3)
        save(self, folder)

    ObjectiveTrainer._save_rng_state = late


def main() -> None:
    if "DIES_AT" in os.environ:
        write_late()
        die_at(int(os.environ["DIES_AT"]))
    folder, output, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    for by in sys.argv[4:]:
        shard(by)
    model_config = ModelConfig(dtype="float32")
    tokenizer = load_tokenizer(folder, model_config)
    forget, chosen, retain = (
        examples(PromptFormat(tokenizer), word) for word in ("secret", "vague", "public")
    )
    common = {
        "epochs": 3,
        "learning_rate": 1e-3,
        "warmup_ratio": 0,
        "batch_size": 2,
        "checkpoint_steps": 2,
        "lora": {"rank": 4, "dropout": 0},
    }
    for name, own in settings.items():
        config = TrainingConfig.model_validate(common | own)
        pairs = chosen if OBJECTIVES[config.objective].chosen_data else []
        model = load_model(folder, model_config)
        train(model, tokenizer, forget, retain, config, output / name, seed=0, chosen=pairs)


if __name__ == "__main__":
    main()
