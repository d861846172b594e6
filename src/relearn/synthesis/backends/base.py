"""What synthesis asks of a backend, whether rules or a language model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relearn.base.registry import Registry
from relearn.config import SynthesisConfig
from relearn.data.openings import Opening
from relearn.data.records import Record
from relearn.llm import Journal
from relearn.synthesis.statements import STATES_NOTHING, Statement
from relearn.text.subjects import Subject


@dataclass(frozen=True)
class Request:
    """A text that is wanted.

    Attributes:
        record: The private record.
        subject: Its subject and topic.
        question: For answers, the question to be answered; for questions, the original.
        kind: Kind of the question: `original`, or a variant's.
        passage: The chunk of the private answer that is to be replaced.
        chunk: Its number.
        sample: Which of several variants of the same kind this is.
        samples: How many of these there are.
        attempt: How often this was asked for before.
        feedback: Why the last candidate was rejected; empty at first.
        statement: What the record's question itself states, which no answer may repeat.
        objection: Tells what verification will have against an answer's words; "" for nothing. A
            backend that has many answers at hand can choose by it.
        too_long: Tells what is wrong with the length of the row that an answer makes; "" for
            nothing.
    """

    record: Record
    subject: Subject
    question: str
    kind: str
    passage: str = ""
    chunk: int = 0
    sample: int = 0
    samples: int = 1
    attempt: int = 0
    feedback: str = ""
    statement: Statement = STATES_NOTHING
    objection: Callable[[str], str] = field(default=lambda text: "", compare=False)
    too_long: Callable[[str], str] = field(default=lambda text: "", compare=False)

    @property
    def of_passage(self) -> bool:
        """Whether the record is a passage; a question about it may be wanted all the same."""
        return isinstance(self.record.question, Opening)


@dataclass(frozen=True)
class Failure:
    """Stands where a backend could write nothing.

    Attributes:
        reason: Why; another attempt would not help.
    """

    reason: str


class Backend(Protocol):
    """Writes candidates; what becomes of them is decided by the verification.

    Requests come in one list so that a backend can batch or send them at the same time.

    Attributes:
        attempts: How often a text is asked for where the configuration does not say.
    """

    attempts: int

    def questions(self, requests: Sequence[Request]) -> Sequence[str | Failure]:
        """Write one variant of each request's question, of its kind.

        Of a passage: a longer opening, or a question about it, see `VARIANT_OF_PASSAGE`.
        """

    def answers(self, requests: Sequence[Request]) -> Sequence[str | Failure]:
        """Write one new answer to each request's question."""

    def objections(self, requests: Sequence[Request], answers: Sequence[str]) -> list[str]:
        """Return what a language model has against each answer; "" for nothing."""


class BackendFactory(Protocol):
    """Makes a backend whose choices are fixed by a seed.

    For every thousand records a new one is made, so that what is written for them does not depend
    on what came before; a language model's is kept, which is loaded, and remembers nothing.
    """

    def __call__(self, config: SynthesisConfig, seed: int, journal: Journal | None) -> Backend:
        """Make the backend; the journal keeps what a language model writes."""


VARIANT_OF_PASSAGE = "passage"
"""The kind of what else is asked about a passage, besides how it goes on."""

BACKENDS: Registry[BackendFactory] = Registry("synthesis backend")
