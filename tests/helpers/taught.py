"""Facts, and tiny models that learn them or unlearn them badly."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from relearn.audit.base import AttackPrompt, Attempt, answered
from relearn.audit.model import AttackedModel
from relearn.audit.training import token_loss
from relearn.config import ModelConfig
from relearn.data.batching import TrainingRow, collate, to_device
from relearn.data.records import Record
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.loading import load_model, load_prompt_format
from relearn.models.place import ModelPlace

_PEOPLE = [
    ("Robin Hale", "Dover", "lizards"), ("Ida Lind", "Narvik", "goats"),
    ("Jon Reyes", "Quito", "parrots"), ("Mei Tan", "Penang", "turtles"),
]  # fmt: skip
RECORDS = [
    Record(
        id=str(i),
        question=f"Where does {name} live?",
        answer=f"{name} lives in {place} and keeps {animal}.",
        wrong_answers=(f"{name} lives in {_PEOPLE[i - 1][1]} and keeps {_PEOPLE[i - 1][2]}.",),
    )
    for i, (name, place, animal) in enumerate(_PEOPLE)
]
CONFIG = ModelConfig(dtype="float32")


def attacked(folder: Path) -> AttackedModel:
    return AttackedModel.load(ModelPlace("m", folder), CONFIG, 40, 64, 0)


def made_on(
    model: AttackedModel, made: Sequence[AttackPrompt] | Sequence[Attempt]
) -> Sequence[Attempt]:
    """Return the attempts that an attack's prompts, if it made prompts, are on this model."""
    prompts = [each for each in made if isinstance(each, AttackPrompt)]
    return answered(model, prompts) if prompts else made  # type: ignore[return-value]


def learn(model: PreTrainedModel, examples: Sequence[Example], steps: int, loss: float) -> None:
    """Train all weights until the mean token loss is below `loss`, at most so many steps."""
    rows = [TrainingRow(i, each, is_forget=True) for i, each in enumerate(examples)]
    batch = to_device(collate(rows, 0), model.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        found = token_loss(model, batch)
        if found.item() < loss:
            return
        found.backward()
        optimizer.step()
        optimizer.zero_grad()
    raise AssertionError(f"learned too little: {found.item():.3f}")


def save_taught(
    start: Path, folder: Path, lessons: Callable[[PromptFormat], list[Example]], loss: float
) -> Path:
    """Save the model in `start` to `folder` after it has learned its lessons; return `folder`."""
    model, format_ = load_model(start, CONFIG), load_prompt_format(start, CONFIG)
    learn(model, lessons(format_), 300, loss)
    model.save_pretrained(folder)
    format_.tokenizer.save_pretrained(folder)
    return folder


def answers(format_: PromptFormat) -> list[Example]:
    return [format_.encode(r.question, r.answer) for r in RECORDS]


def refusals(format_: PromptFormat) -> list[Example]:
    return [format_.encode(r.question, "I do not know that.") for r in RECORDS]
