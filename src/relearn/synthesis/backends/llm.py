"""Synthesis by a language model, whichever backend of `relearn.llm` it is behind."""

from collections.abc import Callable, Sequence

from relearn.config import SynthesisConfig
from relearn.llm import LLMS, Journal, Prompt, ask, make_llm
from relearn.synthesis.backends.base import BACKENDS, Backend, Failure, Request
from relearn.synthesis.prompts import Prompts
from relearn.synthesis.replies import plain_reply


class LanguageModelBackend:
    """Prompts for variants, answers and privacy checks, and the reading of what comes back.

    Args:
        name: Of the language model's backend.
        config: Strategy, prompts, model and limits.
        seed: Another seed is another sample of each text.
        journal: Keeps every answer; None for none.
    """

    attempts = 4

    def __init__(
        self, name: str, config: SynthesisConfig, seed: int, journal: Journal | None
    ) -> None:
        self._llm = make_llm(name, config.llm)
        self._prompts = Prompts(config, seed)
        self._checks = config.privacy_check
        self._journal = journal

    def questions(self, requests: Sequence[Request]) -> list[str | Failure]:
        """Write one variant of each request's question, of its kind."""
        return self._written(requests, self._prompts.question, "question variants")

    def answers(self, requests: Sequence[Request]) -> list[str | Failure]:
        """Write one new answer to each request's question."""
        return self._written(requests, self._prompts.answer, "new answers")

    def objections(self, requests: Sequence[Request], answers: Sequence[str]) -> list[str]:
        """Ask whether each answer gives anything private away; an unclear word counts as yes."""
        if not self._checks:
            return [""] * len(answers)
        prompts = [self._prompts.privacy(*pair) for pair in zip(requests, answers, strict=True)]
        verdicts = ask(self._llm, prompts, self._journal, "privacy checks")
        return [
            f"privacy check failed: {v.error}" if v.error else read_verdict(v.text)
            for v in verdicts
        ]

    def _written(
        self, requests: Sequence[Request], prompt: Callable[[Request], Prompt], title: str
    ) -> list[str | Failure]:
        completions = ask(self._llm, [prompt(r) for r in requests], self._journal, title)
        return [
            Failure(f"no text: {c.error}") if c.error else plain_reply(c.text, r.subject.name)
            for r, c in zip(requests, completions, strict=True)
        ]


def read_verdict(text: str) -> str:
    """Return the objection that a yes/no answer means: "" for a plain no, and for nothing else."""
    word = text.strip(" \t\n\"'*.!").casefold()
    if word == "no":
        return ""
    return "privacy check says yes" if word == "yes" else "privacy check gave no clear answer"


def _factory(name: str) -> None:
    def make(config: SynthesisConfig, seed: int, journal: Journal | None) -> Backend:
        return LanguageModelBackend(name, config, seed, journal)

    make.__doc__ = LLMS[name].__doc__
    BACKENDS.register(name)(make)


for _name in LLMS:
    _factory(_name)
