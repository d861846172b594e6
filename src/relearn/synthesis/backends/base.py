"""What synthesis asks of a backend, whether rules or a language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relearn.data.records import Record
from relearn.registry import Registry
from relearn.synthesis.subject import Subject


@dataclass(frozen=True)
class Request:
    """A text that is wanted.

    Attributes:
        record: The private record.
        subject: Its subject and topic.
        question: For answers, the question to be answered; for questions, the original.
        kind: Kind of the question: `original`, or a variant's.
        attempt: How often this was asked for before.
        feedback: Why the last candidate was rejected; empty at first.
    """

    record: Record
    subject: Subject
    question: str
    kind: str
    attempt: int = 0
    feedback: str = ""


class Backend(Protocol):
    """Writes candidates; what becomes of them is decided by the verification.

    Requests come in one list so that a backend can batch or send them at the same time.
    """

    def questions(self, requests: Sequence[Request]) -> list[str]:
        """Write one variant of each request's question, of its kind."""

    def answers(self, requests: Sequence[Request]) -> list[str]:
        """Write one vague answer to each request's question."""


class BackendFactory(Protocol):
    """Makes a backend whose choices are fixed by a seed."""

    def __call__(self, seed: int) -> Backend:
        """Make the backend."""


BACKENDS: Registry[BackendFactory] = Registry("synthesis backend")
