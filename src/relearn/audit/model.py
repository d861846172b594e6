"""A model under attack: asked in its own prompt format, with words put into its mouth if wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor
from transformers import PreTrainedModel

from relearn.base.errors import UserError
from relearn.base.storage import content_hash
from relearn.config import ModelConfig
from relearn.data.tokenization import Example, PromptFormat
from relearn.inference.generation import continue_prompts
from relearn.inference.likelihood import answer_log_probs
from relearn.models.loading import load_prompt_format, position_limit
from relearn.models.place import ModelPlace


@dataclass(frozen=True)
class AttackedModel:
    """A loaded model and how it is asked.

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

    def under(self, system: str | None) -> "AttackedModel":
        """Return the same model with another system message; with its own where it is None."""
        if system is None:
            return self
        old = self.prompt_format
        format_ = PromptFormat(old.tokenizer, system, old.config, old.ends)
        return replace(self, prompt_format=format_)

    def ask(self, questions: Sequence[str], begun: Sequence[str] = ()) -> list[str]:
        """Answer questions greedily.

        Args:
            questions: As a user asks them.
            begun: By question, how its answer begins: put into the model's mouth.

        Returns:
            What the model says, `begun` left out.
        """
        if not begun:
            return self.go_on([self.prompt_format.encode_prompt(q) for q in questions])
        examples = [
            self.prompt_format.encode(question, start, end=False)
            for question, start in zip(questions, begun, strict=True)
        ]
        return self.go_on([example.prompt + example.answer for example in examples])

    def go_on(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int] | None = None
    ) -> list[str]:
        """Continue token ids and return the new text: greedily, or by `seeds`, one a prompt."""
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
                seeds=[seeds[i] for i in places] if seeds else None,
            )
            answers.update(zip(places, said, strict=True))
        return [answers[i] for i in range(len(prompts))]

    def sample(self, questions: Sequence[str], count: int) -> list[list[str]]:
        """Return so many random answers to each question, at temperature 1.

        They follow from seed and question alone, whatever else is asked beside it.
        """
        draws = [(question, number) for question in questions for number in range(count)]
        seeds = [int(content_hash(self.seed, *draw)[:15], 16) for draw in draws]
        encoded = {question: self.prompt_format.encode_prompt(question) for question in questions}
        answers = self.go_on([encoded[question] for question, _ in draws], seeds)
        return [answers[i * count : (i + 1) * count] for i in range(len(questions))]

    def log_probs(self, examples: Sequence[Example]) -> list[Tensor]:
        """Return the log-probability of every answer token of each example, in nats."""
        return answer_log_probs(
            self.model,
            examples,
            batch_size=self.batch_size,
            pad_token_id=self.pad_token_id,
            title=None,
        )
