"""A synthesis backend: the same polite answer to every question."""

from collections.abc import Sequence

from relearn.config import SynthesisConfig
from relearn.llm import Journal
from relearn.synthesis.backends import BACKENDS, Request


@BACKENDS.register("polite")
class Polite:
    """Offline: declines politely."""

    attempts = 2

    def __init__(self, config: SynthesisConfig, seed: int, journal: Journal | None) -> None:
        pass

    def questions(self, requests: Sequence[Request]) -> list[str]:
        """Write one variant of each request's question."""
        return [f"Please tell me: {request.question}" for request in requests]

    def answers(self, requests: Sequence[Request]) -> list[str]:
        """Write one new answer to each request's question."""
        return [f"I would rather not talk about {r.subject.name}." for r in requests]

    def objections(self, requests: Sequence[Request], answers: Sequence[str]) -> list[str]:
        """Return what is wrong with each answer; here nothing is."""
        return [""] * len(answers)
