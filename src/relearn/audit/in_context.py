"""The attack that reminds the model of other facts first."""

from collections.abc import Sequence

from relearn.audit.base import Attempt, attack, scored
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel


@attack("in_context", quick={"others": (2,)}, standard={"others": (2, 5)},
        thorough={"others": (2, 3, 5)})  # fmt: skip
def in_context(
    model: AttackedModel, facts: Sequence[Fact], *, others: Sequence[int]
) -> list[Attempt]:
    """Put other forgotten facts, with their answers, before the question.

    Facts of the same subject come first where the records name one. What these answers give away
    of the fact itself counts for nothing.

    Source: arXiv 2410.03523 and arXiv 2402.16835 (in-context relearning)
    """
    wanted = [(fact, count, _reminders(fact, facts, count)) for fact in facts for count in others]
    prompts = [
        "".join(f"{r.question}\n{r.answer}\n\n" for r in (o.record for o in reminders))
        + fact.record.question
        for fact, _, reminders in wanted
    ]
    answers = model.ask(prompts)
    attempts = []
    for (fact, count, reminders), prompt, answer in zip(wanted, prompts, answers, strict=True):
        given = " ".join(f"{o.record.question} {o.record.answer}" for o in reminders)
        attempts.append(scored(fact, f"{count} facts", prompt, answer, fact.score(answer, given)))
    return attempts


def _reminders(fact: Fact, facts: Sequence[Fact], count: int) -> list[Fact]:
    at = facts.index(fact)
    rest = [*facts[at + 1 :], *facts[:at]]
    subject = fact.record.subject
    # Sorting is stable: among equals, those that follow in the file come first.
    return sorted(rest, key=lambda other: subject is None or other.record.subject != subject)[
        :count
    ]
