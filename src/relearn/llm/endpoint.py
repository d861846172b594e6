"""Any OpenAI-compatible endpoint: OpenAI, DeepSeek, vLLM, Ollama, llama.cpp, transformers serve."""

import asyncio
import email.utils
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    DefaultAsyncHttpxClient,
    OpenAIError,
)
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from relearn.base.errors import UserError
from relearn.config import LLMConfig
from relearn.llm.base import ONLY_THOUGHT, Prompt, Report, prompt_tokens
from relearn.llm.budget import Budget, LimitReachedError
from relearn.llm.journal import Completion

_LONGEST_WAIT = 60.0
# Statuses that a later attempt may not get again; every 5xx is one too.
_PASSING = frozenset({408, 409, 425, 429})
# Statuses that every other call would get too.
_HOPELESS = frozenset({401, 403, 404, 405})


class _PassingError(Exception):
    """A failure that another attempt may get past."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _FinalError(Exception):
    """A failure that belongs to the prompt."""


class Endpoint:
    """A language model behind a URL; see `relearn.llm.base.LanguageModel`."""

    def __init__(self, config: LLMConfig) -> None:
        self._config = config
        self._base_url = config.base_url or os.environ.get("OPENAI_BASE_URL")
        self._key = os.environ.get(config.api_key_env)
        if not self._key and not self._base_url:
            raise UserError(
                f"no key for the endpoint: the environment has no {config.api_key_env}.",
                "Set it, or name an endpoint that needs none with llm.base_url.",
            )
        self._budget = Budget(config)
        self._paused_until = 0.0
        self._length_field = "max_tokens"
        self._model = config.model

    @property
    def model(self) -> str:
        """The configured model, else the only one that the endpoint serves."""
        if not self._model:
            self._model = asyncio.run(self._only_model())
        return self._model

    def generate(self, prompts: Sequence[Prompt], report: Report) -> None:
        """Send all prompts, so many at a time; see `LanguageModel.generate`."""
        asyncio.run(self._generate(prompts, report, self.model))

    async def _generate(self, prompts: Sequence[Prompt], report: Report, model: str) -> None:
        waiting = iter(range(len(prompts)))

        async def work(client: AsyncOpenAI) -> None:
            for index in waiting:
                report(index, await self._complete(client, model, prompts[index]))

        async with self._client() as client:
            workers = [
                asyncio.create_task(work(client))
                for _ in range(min(self._config.concurrency, len(prompts)))
            ]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()

    def _client(self) -> AsyncOpenAI:
        # No redirects: the private data goes to the endpoint named and to no other.
        http_client = DefaultAsyncHttpxClient(follow_redirects=False)
        return AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self._base_url,
            timeout=self._config.timeout,
            max_retries=0,  # retried below, with the limits kept
            http_client=http_client,
        )

    async def _only_model(self) -> str:
        async with self._client() as client:
            try:
                names = [model.id async for model in client.models.list()]
            except (OpenAIError, ValueError, AttributeError, TypeError):
                names = []
        if len(names) != 1:
            listed = f" It serves: {', '.join(map(str, names[:8]))}." if names else ""
            raise UserError(
                "the endpoint's model is not named.", f"Set llm.model (--llm NAME).{listed}"
            )
        return names[0]

    async def _complete(self, client: AsyncOpenAI, model: str, prompt: Prompt) -> Completion:
        """Return the answer, or why there is none after all attempts."""
        attempts = 0
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(self._config.retries + 1),
                wait=_wait,
                retry=retry_if_exception_type(_PassingError),
                before_sleep=self._before_sleep,
                reraise=True,
            ):
                with attempt:
                    attempts = attempt.retry_state.attempt_number
                    completion = await self._attempt(client, model, prompt, attempts)
        except (_PassingError, _FinalError, LimitReachedError) as failure:
            return Completion(error=str(failure), attempts=attempts)
        return completion

    def _before_sleep(self, state: RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, _PassingError) and failure.retry_after:
            # A rate limit is the endpoint's, not this call's: all the others wait as well.
            self._paused_until = max(self._paused_until, time.monotonic() + failure.retry_after)

    async def _attempt(
        self, client: AsyncOpenAI, model: str, prompt: Prompt, attempts: int
    ) -> Completion:
        while (pause := self._paused_until - time.monotonic()) > 0:
            self._budget.check_time(pause)
            await asyncio.sleep(pause)
        with self._budget.reserved(prompt_tokens(prompt), prompt.max_tokens) as account:
            response = await self._send(client, model, prompt)
            try:
                choice = response.choices[0]
                text = _joined_parts(choice.message.content)
                usage = response.usage
                sent = usage.prompt_tokens if usage else prompt_tokens(prompt)
                received = usage.completion_tokens if usage else len(text or "") // 4
            except (AttributeError, IndexError, TypeError):
                raise _PassingError("unreadable response") from None
            account.charge(sent, received)
        if not isinstance(text, str) or not text.strip():
            # Servers that put the thinking into a field of its own leave the answer empty.
            thoughts = getattr(choice.message, "reasoning_content", None)
            if thoughts or getattr(choice.message, "reasoning", None):
                raise _FinalError(ONLY_THOUGHT)
            raise _PassingError("empty response")
        return Completion(text.strip(), "", sent, received, attempts)

    async def _send(self, client: AsyncOpenAI, model: str, prompt: Prompt):  # type: ignore[no-untyped-def]
        """Make one call, and sort what goes wrong; no message holds a header or a text."""
        try:
            return await client.chat.completions.create(
                model=model,
                messages=prompt.messages,  # type: ignore[arg-type]  # plain dicts are allowed
                temperature=prompt.temperature,
                extra_body={self._length_field: prompt.max_tokens, **self._config.extra_body},
            )
        except APITimeoutError:
            raise _PassingError("time-out") from None
        except APIConnectionError:
            raise _PassingError("connection failed or cut") from None
        except APIStatusError as error:
            raise self._sorted(error) from None
        except (OpenAIError, ValueError):
            raise _PassingError("unreadable response") from None

    def _sorted(self, error: APIStatusError) -> Exception:
        status = error.status_code
        if status in _PASSING or status >= 500:
            return _PassingError(f"HTTP {status}", _retry_after(error.response.headers))
        if status in _HOPELESS or 300 <= status < 400:
            return UserError(
                f"the endpoint answers HTTP {status} to every call.",
                f"Check llm.base_url, llm.model and the key in {self._config.api_key_env}.",
            )
        if self._length_field == "max_tokens" and "max_completion_tokens" in str(error):
            self._length_field = "max_completion_tokens"  # newer models of OpenAI's
            return _PassingError(f"HTTP {status}")
        return _FinalError(f"HTTP {status}")


def _joined_parts(content: Any) -> Any:
    """Return an answer's text, which some servers send in parts, thinking among them."""
    if not isinstance(content, list):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


def _wait(state: RetryCallState) -> float:
    """Wait as long as the endpoint asks; else back off exponentially, with jitter."""
    failure = state.outcome.exception() if state.outcome else None
    asked = failure.retry_after if isinstance(failure, _PassingError) else 0.0
    backing_off = wait_exponential(multiplier=0.25, max=_LONGEST_WAIT) + wait_random(0, 0.25)
    return asked or backing_off(state)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that a response asks to wait, 0 if it does not."""
    value = headers.get("retry-after", "")
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if value and not value.replace(".", "", 1).isdigit():
            date = email.utils.parsedate_to_datetime(value)
            return max(0.0, date.timestamp() - time.time())
        return float(value or 0)
    except (ValueError, TypeError):
        return 0.0
