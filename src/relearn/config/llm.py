"""Settings of a language model that writes or judges."""

from typing import Any

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from relearn.config.section import Section


class LLMConfig(Section):
    """A language model that writes or judges text; its key comes from the environment alone.

    Attributes:
        model: Its name: the endpoint's, or as `model.name`; empty takes the only one served.
        base_url: Of an OpenAI-compatible endpoint; None takes OPENAI_BASE_URL, else OpenAI's own.
        api_key_env: Environment variable that holds the endpoint's key.
        extra_body: Further fields of each request, such as an endpoint's own switches.
        engine_options: Options of vLLM's engine, by name: `tensor_parallel_size`,
            `gpu_memory_utilization`, `max_model_len` …
        concurrency: Calls under way at a time.
        batch_size: Prompts of one batch of a local model.
        thinking_tokens: Tokens that a reasoning model may think aloud before each answer; they are
            cut off before the answer is read.
        timeout: Seconds until a call is given up and tried again.
        retries: Further attempts of a call that failed.
        max_seconds: Time limit of all calls; what is left then is recorded as failed.
        max_tokens: Limit of all tokens, sent and received, likewise.
        max_cost: Limit of the cost at the prices below, likewise.
        input_price: Of a million tokens sent; of a local model's too, where its time has a price.
        output_price: Of a million tokens received.
    """

    model: str = ""
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    extra_body: dict[str, Any] = {}
    engine_options: dict[str, Any] = {}
    concurrency: PositiveInt = 8
    batch_size: PositiveInt = 32
    thinking_tokens: int = Field(0, ge=0)
    timeout: PositiveFloat = 60
    retries: int = Field(6, ge=0)
    max_seconds: PositiveFloat | None = None
    max_tokens: PositiveInt | None = None
    max_cost: PositiveFloat | None = None
    input_price: NonNegativeFloat = 0
    output_price: NonNegativeFloat = 0
