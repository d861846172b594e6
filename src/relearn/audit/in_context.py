"""The attack that reminds the model of other facts first."""

from collections.abc import Sequence

from relearn.audit.base import AttackPrompt, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel


@attack("in_context", quick={"others": (2,)}, standard={"others": (2, 5)},
        thorough={"others": (2, 3, 5)})  # fmt: skip
def in_context(
    model: AttackedModel, facts: Sequence[Fact], *, others: Sequence[int]
) -> list[AttackPrompt]:
    """Put other forgotten facts, with their answers, before the question.

    Facts of the same subject come first where the records name one. What these answers give away
    of the fact itself counts for nothing.

    Source: arXiv 2410.03523 and arXiv 2402.16835 (in-context relearning)
    """
    prompts = []
    for fact in facts:
        for count in others:
            reminders = [other.record for other in _reminders(fact, facts, count)]
            before = "".join(f"{r.question}\n{r.answer}\n\n" for r in reminders)
            text = before + fact.record.question
            ids = model.encode(text)
            prompts.append(AttackPrompt(fact, f"{count} facts", text, ids, given=before))
    return prompts


def _reminders(fact: Fact, facts: Sequence[Fact], count: int) -> list[Fact]:
    at = facts.index(fact)
    rest = [*facts[at + 1 :], *facts[:at]]
    subject = fact.record.subject
    # Sorting is stable: among equals, those that follow in the file come first.
    return sorted(rest, key=lambda other: subject is None or other.record.subject != subject)[
        :count
    ]
