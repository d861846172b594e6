"""What is asked of a language model, what comes back, and how one is chosen by name."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from relearn.base.progress import progress_bar
from relearn.base.registry import Registry
from relearn.base.storage import content_hash
from relearn.config import LLMConfig
from relearn.llm.journal import Completion, Journal
from relearn.llm.thinking import without_thinking

# Characters of English text in a token of a usual vocabulary, for estimates alone.
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Prompt:
    """One call of a language model.

    Attributes:
        user: The user's message.
        system: The system message; empty for none.
        max_tokens: Longest answer, in tokens.
        temperature: 0 takes the likeliest token each time.
        version: Of the wording, such as `answer/2`; another version is another call.
        sample: Which of several answers to the same prompt this is, such as a seed.
    """

    user: str
    system: str = ""
    max_tokens: int = 256
    temperature: float = 0.0
    version: str = ""
    sample: int = 0

    def key(self, model: str) -> str:
        """Return what the answer of `model` is journaled under."""
        return content_hash(model, asdict(self))

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat, as every chat template and endpoint takes it."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.user}]


# Why there is no answer where a model has not come to an end with its thinking.
ONLY_THOUGHT = "it thought aloud and gave no answer (raise llm.thinking_tokens)"

Report = Callable[[int, Completion], None]


class LanguageModel(Protocol):
    """Answers prompts, and reports each answer or failure as it arrives."""

    @property
    def model(self) -> str:
        """Its name; part of the key under which answers are journaled."""

    def generate(self, prompts: Sequence[Prompt], report: Report) -> None:
        """Answer all prompts; call `report(index, completion)` exactly once for each.

        What fails for one prompt alone is reported as a completion with an `error`.

        Raises:
            UserError: no prompt could succeed: a refused key, an unknown model.
        """


class LanguageModelFactory(Protocol):
    """Makes a language model; nothing is sent or loaded before its first prompt if avoidable."""

    def __call__(self, config: LLMConfig) -> LanguageModel:
        """Make it."""


LLMS: Registry[LanguageModelFactory] = Registry("language model backend")


def make_llm(name: str, config: LLMConfig) -> LanguageModel:
    """Return the language model of the backend `name`: `openai`, `transformers` or `vllm`.

    Raises:
        UserError: there is no such backend, or its configuration lacks something.
    """
    llm = LLMS.named(name)(config)
    return _Thinking(llm, config.thinking_tokens) if config.thinking_tokens else llm


class _Thinking:
    """A language model that may think aloud for so many tokens before each answer."""

    def __init__(self, llm: LanguageModel, tokens: int) -> None:
        self._llm = llm
        self._tokens = tokens

    @property
    def model(self) -> str:
        return self._llm.model

    def generate(self, prompts: Sequence[Prompt], report: Report) -> None:
        longer = [replace(p, max_tokens=p.max_tokens + self._tokens) for p in prompts]
        self._llm.generate(longer, report)


def ask(
    llm: LanguageModel,
    prompts: Sequence[Prompt],
    journal: Journal | None = None,
    title: str | None = None,
) -> list[Completion]:
    """Answer every prompt, each only once in the lifetime of the journal.

    What a reasoning model thinks aloud is cut off here, before anybody reads the answer. An answer
    is in the journal before the next one is looked at, so that a killed process loses only what
    is on its way. Failures are not journaled: they are tried again next time.

    Args:
        llm: Who answers.
        prompts: What is asked; the same prompt twice is one call.
        journal: Of earlier answers; None for none.
        title: Of a progress bar; None for none.

    Returns:
        The completions in the order of the prompts.

    Raises:
        UserError: no prompt could succeed.
    """
    keys = [prompt.key(llm.model) for prompt in prompts]
    known = journal.lookup(keys) if journal else {}
    new = {key: p for key, p in zip(keys, prompts, strict=True) if key not in known}
    order = list(new)
    with progress_bar(title) as advance:

        def report(index: int, completion: Completion) -> None:
            completion = _spoken(completion)
            if journal and not completion.error:
                journal.record(order[index], completion)
            known[order[index]] = completion
            advance(len(known), len(known) + len(order) - sum(k in known for k in order), "")

        if order:
            llm.generate(list(new.values()), report)
    return [known[key] for key in keys]


def _spoken(completion: Completion) -> Completion:
    text = without_thinking(completion.text)
    if completion.text and not text:
        return replace(completion, text="", error=ONLY_THOUGHT)
    return replace(completion, text=text)


@dataclass(frozen=True)
class Estimate:
    """What prompts would cost, before anything is sent.

    Attributes:
        calls: Calls of the model.
        prompt_tokens: Tokens sent, about.
        completion_tokens: Tokens received, at most.
        cost: In the currency of the configured prices; None without prices.
    """

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def prompt_tokens(prompt: Prompt) -> int:
    """Return about how many tokens a prompt sends."""
    return sum(estimate_tokens(message["content"]) + 4 for message in prompt.messages)


def cost(config: LLMConfig, prompt: int, completion: int) -> float:
    """Return what these numbers of tokens cost at the configured prices."""
    return (prompt * config.input_price + completion * config.output_price) / 1e6


def estimate(
    prompts: Sequence[Prompt], config: LLMConfig, model: str, journal: Journal | None = None
) -> Estimate:
    """Count the calls and tokens of those prompts that the journal cannot answer."""
    keys = [prompt.key(model) for prompt in prompts]
    known = journal.lookup(keys) if journal else {}
    new = {k: p for k, p in zip(keys, prompts, strict=True) if k not in known}.values()
    sent = sum(map(prompt_tokens, new))
    received = sum(prompt.max_tokens + config.thinking_tokens for prompt in new)
    priced = config.input_price or config.output_price
    return Estimate(len(new), sent, received, cost(config, sent, received) if priced else None)
