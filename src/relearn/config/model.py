"""Settings of a model: which one, and how it is asked."""

import datetime
from typing import Any, Literal

from pydantic import field_validator

from relearn.config.section import Section


class PromptConfig(Section):
    r"""How a question becomes a prompt; the same in training, evaluation, analysis and chat.

    Attributes:
        template: Your own format, such as "Q: {question}\nA: {answer}"; it may contain {system}. A
            special token after {answer} ends the turn. None means the tokenizer's chat template, or
            plain text if it has none.
        arguments: Arguments for the chat template, by name, such as `enable_thinking: false`.
        date: The date that a chat template uses as today's, so that prompts don't change overnight.
    """

    template: str | None = None
    arguments: dict[str, Any] = {}
    date: datetime.date = datetime.date(2024, 7, 26)

    @field_validator("date", mode="before")
    @classmethod
    def _is_a_date(cls, given: Any) -> Any:
        # pydantic takes a number for seconds since 1970.
        if not isinstance(given, datetime.date | str) or str(given).strip().isdigit():
            raise ValueError("must be a date such as 2024-07-26")
        return given

    @field_validator("template", mode="before")
    @classmethod
    def _has_places(cls, given: Any) -> Any:
        if given is None:
            return given
        if not isinstance(given, str):
            raise ValueError("must be a string; on the command line, quote it twice: '\"Q: ...\"'")
        if given.count("{answer}") != 1 or "{question}" not in given.partition("{answer}")[0]:
            raise ValueError("must contain {question}, and after it {answer} once")
        return given


class ModelConfig(Section):
    """Which model, and how it is prompted.

    Attributes:
        name: An embedded model, a hub name, a local folder or a `.gguf` file.
        dtype: Type of weights and activations; `auto` means the checkpoint's.
        trust_remote_code: Run code that comes with the model.
        system: System message of every prompt. None means the records' own, if they have one, or
            else the chat template's default. If a template supports no system message, it is put
            before the question.
    """

    name: str = "smollm2-135m"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    trust_remote_code: bool = False
    system: str | None = None
    prompt: PromptConfig = PromptConfig()
