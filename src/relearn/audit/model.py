"""A model under attack: asked in its own prompt format, with words put into its mouth if wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor
from transformers import PreTrainedModel

from relearn.base.errors import UserError
from relearn.config import ModelConfig
from relearn.data.tokenization import Example, PromptFormat
from relearn.inference.generation import continue_prompts
from relearn.inference.likelihood import answer_log_probs
from relearn.models.loading import load_prompt_format, position_limit
from relearn.models.place import ModelPlace


@dataclass(frozen=True)
class AttackedModel:
    """A loaded model and how it is asked.

    Several processes, each with the model and the same prompts, share the batches.

    Attributes:
        model: The model; an attack that changes it makes a copy.
        prompt_format: How it is asked.
        max_new_tokens: Longest answer.
        batch_size: Prompts of one batch.
        seed: Fixes what is random.
    """

    model: PreTrainedModel
    prompt_format: PromptFormat
    max_new_tokens: int
    batch_size: int = 64
    seed: int = 0

    @classmethod
    def load(
        cls, place: ModelPlace, config: ModelConfig, max_new_tokens: int, batch_size: int, seed: int
    ) -> "AttackedModel":
        """Load a model."""
        model = place.load(config)
        model.requires_grad_(False)
        format_ = load_prompt_format(place.folder, config)
        return cls(model, format_, max_new_tokens, batch_size, seed)

    @cached_property
    def pad_token_id(self) -> int:
        """What batches are padded with."""
        return int(self.prompt_format.tokenizer.pad_token_id)

    def encode(self, question: str, begun: str = "", system: str | None = None) -> list[int]:
        """Return a prompt's token ids.

        Args:
            question: As a user asks it.
            begun: How the answer begins: put into the model's mouth.
            system: System message; None takes the model's own.
        """
        format_ = self.prompt_format
        if system is not None:
            format_ = PromptFormat(format_.tokenizer, system, format_.config, format_.ends)
        if not begun:
            return format_.encode_prompt(question)
        example = format_.encode(question, begun, end=False)
        return example.prompt + example.answer

    def go_on(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int | None] = ()
    ) -> list[str]:
        """Continue token ids and return the new text: greedily, or drawn by a prompt's seed."""
        limit = position_limit(self.model.config)
        by_room: dict[int, list[int]] = {}
        for i, prompt in enumerate(prompts):
            room = int(min(self.max_new_tokens, limit - len(prompt)))
            if room < 1:
                raise UserError(
                    f"a prompt of an attack has {len(prompt)} tokens, as many as the model can "
                    "read or more.",
                    "Choose other attacks with --attack.",
                )
            by_room.setdefault(room, []).append(i)
        answers: dict[int, str] = {}
        for room, places in by_room.items():
            said = continue_prompts(
                self.model,
                self.prompt_format,
                [prompts[i] for i in places],
                batch_size=self.batch_size,
                max_new_tokens=room,
                title=None,
                seeds=[seeds[i] for i in places] if seeds else (),
                shared=True,
            )
            answers.update(zip(places, said, strict=True))
        return [answers[i] for i in range(len(prompts))]

    def log_probs(self, examples: Sequence[Example]) -> list[Tensor]:
        """Return the log-probability of every answer token of each example, in nats."""
        return answer_log_probs(
            self.model,
            examples,
            batch_size=self.batch_size,
            pad_token_id=self.pad_token_id,
            title=None,
            shared=True,
        )
