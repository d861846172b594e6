"""Questions and answers as token ids, the same in training and in evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from relearn.errors import UserError


@dataclass(frozen=True)
class Example:
    """One tokenized question and answer.

    Attributes:
        prompt: Token ids up to the answer.
        answer: Token ids of the answer, the only ones that carry labels.
    """

    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


class PromptFormat:
    """How a question becomes a prompt: the tokenizer's chat template, or plain text without one.

    Args:
        tokenizer: Of the model that is asked.
        system: System message; None leaves it to the template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, system: str | None = None) -> None:
        self.tokenizer = tokenizer
        self.system = system

    def prompt(self, question: str) -> str:
        """Return the text that ends where the answer begins."""
        if self.tokenizer.chat_template is None:
            return f"{self.system or ''}\n\nQuestion: {question}\nAnswer: ".lstrip()
        messages = [{"role": "user", "content": question}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        return str(
            self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )

    def encode_prompt(self, question: str) -> list[int]:
        """Return the token ids of the prompt; a chat template brings its own special tokens."""
        special = self.tokenizer.chat_template is None
        return list(self.tokenizer(self.prompt(question), add_special_tokens=special).input_ids)

    def encode(self, question: str, answer: str, *, end: bool = True) -> Example:
        """Tokenize a question and its answer.

        Args:
            question: As the user asks it.
            answer: As the model answers it.
            end: Let the end-of-sequence token be part of the answer.
        """
        # Whatever an answer says, it can't forge an end of turn.
        ids = self.tokenizer(answer, add_special_tokens=False, split_special_tokens=True).input_ids
        eos = [self.tokenizer.eos_token_id] if end else []
        return Example(self.encode_prompt(question), list(ids) + eos)


def check_lengths(examples: Sequence[Example], ids: Sequence[str], max_length: int) -> None:
    """Refuse rows longer than `max_length` tokens rather than cut their answers.

    Raises:
        UserError: names the first such row and how many there are.
    """
    long = [(id_, len(e)) for e, id_ in zip(examples, ids, strict=True) if len(e) > max_length]
    if long:
        raise UserError(
            f"record {long[0][0]} has {long[0][1]} tokens, more than {max_length} "
            f"({len(long)} such records).",
            "Raise training.max_length or split the record.",
        )
