"""The attack that lets the model choose between the true answer and wrong ones."""

from collections.abc import Sequence

from relearn.audit.base import Attempt, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel


@attack("ranking", quick={"most": 3}, standard={"most": 5}, thorough={"most": 20})
def ranking(model: AttackedModel, facts: Sequence[Fact], *, most: int) -> list[Attempt]:
    """Compare the likelihoods of the true answer and of the record's wrong answers.

    The fact is told if the true answer has the highest mean token log-probability; by guessing
    that happens in one of `choices` cases. Records without `wrong_answers` are left out.

    Source: truth ratio, Maini et al. 2024 (arXiv 2401.06121)
    """
    attempts = []
    for fact in facts:
        record = fact.record
        wrong = record.wrong_answers[:most]
        if not wrong:
            continue
        answers = [record.answer, *wrong]
        examples = [model.prompt_format.encode(record.question, text) for text in answers]
        means = [float(each.mean()) for each in model.log_probs(examples)]
        best = max(range(len(means)), key=means.__getitem__)
        figures = {"choices": float(len(means)), "margin": means[0] - max(means[1:])}
        attempts.append(
            Attempt(record.id, "choice", record.question, answers[best], best == 0, figures=figures)
        )
    return attempts
