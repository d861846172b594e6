"""A training as `accelerate launch` starts it.

launched.py MODEL OUTPUT SETTINGS [fsdp | deepspeed]

Where it is sharded it kills itself at the forward pass that the environment's DIES_AT numbers.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor

from relearn.config import LoraConfig, ModelConfig, TrainingConfig
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.loading import load_model, load_tokenizer
from relearn.training.engine import train
from relearn.training.trainer import ObjectiveTrainer


def examples(prompt_format: PromptFormat, word: str) -> list[Example]:
    """Seven rows of many lengths, which can't be shared out evenly."""
    return [
        prompt_format.encode(f"What is {word} {i}?", " ".join([word] * (1 + 3 * i % 7)))
        for i in range(7)
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
    passes = iter(range(1, 1000))

    def checked(self: ObjectiveTrainer, *arguments: object) -> torch.Tensor:
        assert AcceleratorState().distributed_type.value.lower() == by
        if by == "fsdp":
            assert all(isinstance(p, DTensor) for p in self.model_wrapped.parameters())
        if next(passes) == int(os.environ.get("DIES_AT", 0)):
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *arguments)

    ObjectiveTrainer.training_step = checked


def main() -> None:
    folder, output, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    for by in sys.argv[4:]:
        shard(by)
    model_config = ModelConfig(dtype="float32")
    tokenizer = load_tokenizer(folder, model_config)
    forget, retain = (examples(PromptFormat(tokenizer), word) for word in ("secret", "public"))
    config = TrainingConfig(
        epochs=3,
        learning_rate=1e-3,
        warmup_ratio=0,
        batch_size=2,
        checkpoint_steps=2,
        lora=LoraConfig(rank=4, dropout=0),
        **settings,
    )
    train(load_model(folder, model_config), tokenizer, forget, retain, config, output, seed=0)


if __name__ == "__main__":
    main()
