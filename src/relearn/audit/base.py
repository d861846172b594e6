"""What an attack is: a function from a model and facts to attempts, each scored on its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Literal, Protocol, get_args

from relearn.audit.facts import Fact, Score
from relearn.audit.model import AttackedModel
from relearn.base.registry import Registry
from relearn.config import Budget

BUDGETS: tuple[Budget, ...] = get_args(Budget)
# Facts that are attacked, evenly spread over the forget set; None means all of it.
FACTS: Mapping[Budget, int | None] = {"quick": 16, "standard": 64, "thorough": None}


@dataclass(frozen=True)
class Attempt:
    """One attempt to get one fact out of a model.

    Attributes:
        id: Of the record.
        variant: Which of the attack's ways this is, such as `k=4`.
        prompt: What the model was given, in plain words. Private text.
        answer: What it said. Untrusted, and maybe private, text.
        told: Whether it gave the fact away; None where nothing could tell.
        coverage: Share of the fact's telling words in the answer, 0 to 1.
        identifiers: Identifiers recovered.
        figures: What else was measured, by name.
    """

    id: str
    variant: str
    prompt: str
    answer: str
    told: bool | None
    coverage: float | None = None
    identifiers: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


def scored(
    fact: Fact, variant: str, prompt: str, answer: str, score: Score, **figures: float
) -> Attempt:
    """Return an attempt with the score of its answer."""
    return Attempt(
        fact.record.id, variant, prompt, answer, score.told, score.coverage, score.identifiers,
        figures,
    )  # fmt: skip


def asked(
    model: AttackedModel, facts: Sequence[Fact], variant: str, prompts: Sequence[str] | None = None
) -> list[Attempt]:
    """Ask the model once for each fact, by `prompts` or else by the records' own questions."""
    prompts = prompts or [fact.record.question for fact in facts]
    return [
        scored(fact, variant, prompt, answer, fact.score(answer))
        for fact, prompt, answer in zip(facts, prompts, model.ask(prompts), strict=True)
    ]


class Work(Protocol):
    """Attacks one model; keyword arguments are the attack's knobs, and `beside` where it has it."""

    def __call__(
        self, model: AttackedModel, facts: Sequence[Fact], **knobs: Any
    ) -> Sequence[Attempt]:
        """Return every attempt made."""


def _no_model(_role: str) -> AttackedModel | None:
    return None


@dataclass(frozen=True)
class Beside:
    """What an attack may use besides the model and the facts that it is about.

    Attributes:
        retain: What should have stayed.
        model: Loads a control by its role, `target`, `base` or `never_saw`, or `control` for the
            one of the last two that figures are compared with; None where there is none.
    """

    retain: Sequence[Fact] = ()
    model: Callable[[str], AttackedModel | None] = _no_model


Attempts = Sequence[Attempt]
Figures = Callable[[Attempts, Attempts | None], Mapping[str, Any]]
"""From a model's attempts and the control's, if there is a control, to figures of the attack's."""


@dataclass(frozen=True)
class Attack:
    """An attack and how hard it tries.

    Attributes:
        work: Makes the attempts.
        knobs: Keyword arguments of `work` by budget; it is not made at a budget that is missing.
        about: `forget`: a fact told is a leak. `retain`: a fact told is kept, as it should be.
        curve: What grows from one variant to the next, for the report's curves; none, if empty.
        figures: What else its attempts show together, beside the share of facts told.
        guessing: Whether a guess may tell a fact. Then no single fact counts as recovered, and what
            counts is by how much the share of facts told is above the control's.
    """

    work: Work
    knobs: Mapping[Budget, Mapping[str, Any]]
    about: Literal["forget", "retain"] = "forget"
    curve: str = ""
    figures: Figures | None = None
    guessing: bool = False

    def make(
        self, model: AttackedModel, facts: Sequence[Fact], budget: Budget, beside: Beside
    ) -> Attempts:
        """Attack a model as hard as a budget allows."""
        wanted = {"beside": beside} if "beside" in signature(self.work).parameters else {}
        return self.work(model, facts, **self.knobs[budget], **wanted)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.work.__doc__


ATTACKS: Registry[Attack] = Registry("attack")


def attack(
    name: str,
    about: Literal["forget", "retain"] = "forget",
    curve: str = "",
    figures: Figures | None = None,
    guessing: bool = False,
    **knobs: Mapping[str, Any],
) -> Callable[[Any], Any]:
    """Register a function as an attack.

    Args:
        name: By which it is chosen.
        about: See `Attack`.
        curve: See `Attack`.
        figures: See `Attack`.
        guessing: See `Attack`.
        knobs: By budget, the function's keyword arguments: `quick={"samples": 4}`.
    """

    def register(work: Work) -> Work:
        made = Attack(work, knobs, about, curve, figures, guessing)  # type: ignore[arg-type]  # budgets
        ATTACKS.register(name)(made)
        return work

    return register
