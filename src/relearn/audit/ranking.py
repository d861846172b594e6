"""The attack that lets the model choose between the true answer and wrong ones."""

from collections.abc import Sequence
from itertools import islice

from relearn.audit.base import Attempt, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel


@attack("ranking", guessing=True, quick={"most": 3}, standard={"most": 5}, thorough={"most": 20})
def ranking(model: AttackedModel, facts: Sequence[Fact], *, most: int) -> list[Attempt]:
    """Compare the likelihoods of the true answer and of the record's wrong answers.

    The fact is told if the true answer has the highest mean token log-probability; by guessing
    that happens in one of `choices` cases. Records without `wrong_answers` are left out.

    Source: truth ratio, Maini et al. 2024 (arXiv 2401.06121)
    """
    choices = [
        (fact, [fact.record.answer, *fact.record.wrong_answers[:most]])
        for fact in facts
        if fact.record.wrong_answers
    ]
    examples = [
        model.prompt_format.encode(fact.record.question, text)
        for fact, answers in choices
        for text in answers
    ]
    all_means = iter([float(each.mean()) for each in model.log_probs(examples)])
    attempts = []
    for fact, answers in choices:
        means = list(islice(all_means, len(answers)))
        best = max(range(len(means)), key=means.__getitem__)
        figures = {"choices": float(len(means)), "margin": means[0] - max(means[1:])}
        question = fact.record.question
        attempts.append(
            Attempt(fact.record.id, "choice", question, answers[best], best == 0, figures=figures)
        )
    return attempts
