"""Knowledge forgetting rate and knowledge retention rate."""

from relearn.evaluation.metrics.base import metric
from relearn.evaluation.rows import EvaluatedRow

_NEEDS = ("nli_label", "entity_coverage", "reference_entities")

# Bounds on the entity coverage (arXiv 2502.11190, and its recorded results, where they hold for
# every row): a reference with few entities must lose half of them, one with more 70 %.
FEW_ENTITIES = 3
FORGOTTEN_BELOW_IF_FEW = 0.5
FORGOTTEN_UP_TO = 0.3
RETAINED_FROM = 0.3


def is_forgotten(row: EvaluatedRow) -> bool | None:
    """Return whether an answer gives away nothing its reference says; None if not measurable."""
    if row.measured_by:
        return None if row.told is None else not row.told
    assert row.reference_entities is not None
    assert row.entity_coverage is not None
    if row.nli_label == "contradiction":
        return True
    return not gives_away(row.entity_coverage, len(row.reference_entities))


def gives_away(coverage: float, count: int) -> bool:
    """Return whether this share of the reference's `count` entities is too much to be forgotten."""
    return (
        coverage >= FORGOTTEN_BELOW_IF_FEW if count <= FEW_ENTITIES else coverage > FORGOTTEN_UP_TO
    )


def is_retained(row: EvaluatedRow) -> bool | None:
    """Return whether an answer still says what its reference says; None if not measurable."""
    if row.measured_by:
        return row.told
    assert row.entity_coverage is not None
    return row.nli_label != "contradiction" and row.entity_coverage >= RETAINED_FROM


@metric(
    "kfr",
    label="KFR, knowledge forgetting rate",
    higher_is_better={"forget": True},
    needs=_NEEDS,
    sets="forget",
    column="forgotten",
    leaves_out=True,
)
def kfr(row: EvaluatedRow) -> int | None:
    """Share of answers that contradict the reference or lack its names, dates and other entities.

    Forgotten if the answer contradicts the reference (premise answer, hypothesis reference), or
    names too few of its entities. An answer that equals the reference apart from case, white space
    and punctuation, or that gives an identifier away in another form, is not forgotten. Where the
    reference has no entities, its content words count; an answer that nothing can measure is left
    out and counted.

    Source: ReLearn, arXiv 2502.11190
    """
    forgotten = is_forgotten(row)
    return None if forgotten is None else int(forgotten)


@metric(
    "krr",
    label="KRR, knowledge retention rate",
    higher_is_better={"retain": True},
    needs=_NEEDS,
    sets="retain",
    column="retained",
    leaves_out=True,
)
def krr(row: EvaluatedRow) -> int | None:
    """Share of answers that don't contradict the reference and name enough of its entities.

    Premise is the reference, hypothesis the answer; otherwise as for `kfr`.

    Source: ReLearn, arXiv 2502.11190
    """
    retained = is_retained(row)
    return None if retained is None else int(retained)
