"""Settings of a model: which one, and how it is asked."""

import datetime
from typing import Any, Literal

from pydantic import field_validator

from relearn.config.section import Section


class PromptConfig(Section):
    r"""How a question becomes a prompt; the same in training, evaluation, analysis and chat.

    Attributes:
        template: A format of your own, such as "Q: {question}\nA: {answer}", also with {system};
            a special token after {answer} ends the turn. None takes the tokenizer's chat template,
            or plain text where it has none.
        arguments: Arguments of the chat template, by name, such as `enable_thinking: false`.
        date: The day that a chat template takes for today, so that prompts don't change overnight.
    """

    template: str | None = None
    arguments: dict[str, Any] = {}
    date: datetime.date = datetime.date(2024, 7, 26)

    @field_validator("template", mode="before")
    @classmethod
    def _has_places(cls, given: Any) -> Any:
        if given is None:
            return given
        if not isinstance(given, str):
            raise ValueError("must be a text; on the command line, quote it twice: '\"Q: ...\"'")
        if given.count("{answer}") != 1 or "{question}" not in given.partition("{answer}")[0]:
            raise ValueError("must hold {question} and then {answer} once")
        return given


class ModelConfig(Section):
    """Which model, and how it is asked.

    Attributes:
        name: An embedded model, a hub name, a local folder or a `.gguf` file.
        dtype: Weights and activations; `auto` takes the checkpoint's.
        trust_remote_code: Run code that comes with the model.
        system: System message of every prompt; None takes that of the records, where they have
            one, else leaves it to the chat template. A template that takes none gets it before
            the question.
    """

    name: str = "smollm2-135m"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    trust_remote_code: bool = False
    system: str | None = None
    prompt: PromptConfig = PromptConfig()
