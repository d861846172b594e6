"""What an attack is: a function from a model and facts to prompts, or to attempts of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any, Literal, Protocol, get_args

from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel
from relearn.base.options import Options
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
        cross_leaks: What it told that other forget records hide; only what comes of asking is
            searched for that, not what further training or chosen answers bring.
    """

    id: str
    variant: str
    prompt: str
    answer: str
    told: bool | None
    coverage: float | None = None
    identifiers: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    cross_leaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttackPrompt:
    """What is to be put to a model to get one fact out of it.

    Attributes:
        fact: What is wanted.
        variant: Which of the attack's ways this is, such as `k=4`.
        text: The prompt in plain words. Private text.
        ids: The same in tokens, as `AttackedModel.encode` makes it.
        given: What the prompt itself gives away of the private answer; it counts for nothing.
        begun: How the answer begins, if the prompt ends within it; counts for nothing, too.
        seed: Of the random numbers by which the answer is drawn at temperature 1; None is greedy.
        figures: What else was measured, by name.
    """

    fact: Fact
    variant: str
    text: str
    ids: Sequence[int]
    given: str = ""
    begun: str = ""
    seed: int | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    def answered(self, answer: str) -> Attempt:
        """Return the attempt that a model's answer makes of this."""
        # The prompt may end within a word: what it and the answer make together counts.
        whole = self.begun + ("" if self.begun[-1:].isspace() else " ") + answer
        given = f"{self.given} {self.begun}".strip()
        score = self.fact.score(whole if self.begun else answer, given)
        return Attempt(
            self.fact.record.id, self.variant, self.text, answer, score.told, score.coverage,
            score.identifiers, self.figures,
        )  # fmt: skip


def asking(
    model: AttackedModel,
    facts: Sequence[Fact],
    variant: str,
    questions: Sequence[str] | None = None,
) -> list[AttackPrompt]:
    """Return a prompt for each fact: one of `questions`, or else the record's own."""
    questions = questions or [fact.record.question for fact in facts]
    return [
        AttackPrompt(fact, variant, question, model.encode(question))
        for fact, question in zip(facts, questions, strict=True)
    ]


def answered(model: AttackedModel, prompts: Sequence[AttackPrompt]) -> list[Attempt]:
    """Put prompts to a model, of as many attacks as there are, in common batches."""
    answers = model.go_on([prompt.ids for prompt in prompts], [prompt.seed for prompt in prompts])
    return [prompt.answered(answer) for prompt, answer in zip(prompts, answers, strict=True)]


class Work(Protocol):
    """Attacks one model; keyword arguments are the attack's knobs, and `beside` where it has it."""

    def __call__(
        self, model: AttackedModel, facts: Sequence[Fact], **knobs: Any
    ) -> Sequence[AttackPrompt] | Sequence[Attempt]:
        """Return what is to be asked, or every attempt made where asking is not all."""


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
        work: Makes prompts, which are put to the model together with other attacks', or attempts.
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

    def with_options(self, name: str, budget: Budget, values: Mapping[str, Any]) -> "Attack":
        """Return the attack with other knobs at a budget.

        Args:
            name: The attack's, for messages.
            budget: One that it is made at.
            values: By knob.

        Raises:
            UserError: there is no such knob, or its value is of the wrong type or out of range.
        """
        options = Options(f"audit.options.{name}", self.work, 2, self.knobs[budget])
        chosen = {**self.knobs[budget], **options.check(values)}
        return replace(self, knobs={**self.knobs, budget: chosen})

    def make(
        self, model: AttackedModel, facts: Sequence[Fact], budget: Budget, beside: Beside
    ) -> Sequence[AttackPrompt] | Attempts:
        """Attack a model as hard as a budget allows, or return the prompts to do it by."""
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
