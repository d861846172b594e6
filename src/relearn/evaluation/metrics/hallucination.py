"""Answers that make something up instead of telling what was forgotten."""

from relearn.evaluation.metrics.base import metric
from relearn.evaluation.rows import EvaluatedRow


@metric(
    "hallucination",
    label="Hallucination, made-up names and identifiers",
    higher_is_better=False,
    needs=("made_up",),
    sets="forget",
)
def hallucination(row: EvaluatedRow) -> int:
    """Share of answers with a name or identifier that neither question nor reference has.

    Names of people, places, organizations and works, in English; e-mail addresses, dates, phone
    numbers, codes and long numbers in any language. An answer that hides a fact behind another,
    false one counts as forgotten (KFR); here it shows. What is true of the subject but stands in
    neither text counts too, so compare with the target model's rate.

    Source: the concern is that of arXiv 2605.08765 (unlearned models hallucinate instead of
    saying that they don't know); the measure is our own
    """
    assert row.made_up is not None
    return int(bool(row.made_up))
