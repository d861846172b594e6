"""Settings of a language model that writes or judges."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from relearn.config.section import MOST, Count, NonNegative, Positive, Seconds, Section

_SECRETS = frozenset(
    {"access_token", "api_key", "apikey", "authorization", "key", "password", "secret", "token"}
)


class LLMConfig(Section):
    """A language model that writes or judges text; its key is read from the environment only.

    Attributes:
        model: Name of the model, at the endpoint or as in `model.name`; empty means the only one
            that is served.
        base_url: URL of an OpenAI-compatible endpoint; None means OPENAI_BASE_URL, or else OpenAI.
        api_key_env: Environment variable that holds the endpoint's key.
        extra_body: Further fields of each request, such as an endpoint's own options.
        engine_options: Options of vLLM's engine, by name: `tensor_parallel_size`,
            `gpu_memory_utilization`, `max_model_len` …
        concurrency: Calls at the same time.
        batch_size: Prompts per batch of a local model.
        thinking_tokens: Tokens that a reasoning model may use for thinking before each answer;
            they are removed before the answer is read.
        timeout: Seconds before a call is cancelled and retried.
        retries: How often a failed call is retried.
        max_seconds: Time limit for all calls together; what remains is recorded as failed.
        max_tokens: Token limit, sent and received, for all calls together.
        max_cost: Cost limit, at the prices below, for all calls together.
        input_price: Price of a million tokens sent; also of a local model's, if its time has one.
        output_price: Price of a million tokens received.
    """

    model: str = ""
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    extra_body: dict[str, Any] = {}
    engine_options: dict[str, Any] = {}
    concurrency: Count = 8
    batch_size: Count = 32
    thinking_tokens: int = Field(0, ge=0, le=MOST)
    timeout: Seconds = 60
    retries: int = Field(6, ge=0, le=1000)
    max_seconds: Seconds | None = None
    max_tokens: Count | None = None
    max_cost: Positive | None = None
    input_price: NonNegative = 0
    output_price: NonNegative = 0

    @field_validator("base_url")
    @classmethod
    def _has_no_password(cls, given: str | None) -> str | None:
        # Settings are written to the run folder, and shown.
        if given and "@" in urlsplit(given).netloc:
            raise ValueError("holds a password; put the key into the environment (api_key_env)")
        return given

    @field_validator("extra_body")
    @classmethod
    def _has_no_key(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name in given:
            if name.lower().replace("-", "_") in _SECRETS:
                raise ValueError(
                    f"{name} looks like a key; put it into the environment (api_key_env)"
                )
        return given
