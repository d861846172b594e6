"""Knowledge forgetting rate and knowledge retention rate."""

from relearn.evaluation.metrics.base import keep_scores, metric
from relearn.evaluation.rows import EvaluatedRow, Rows

_NEEDS = ("nli_label", "entity_coverage", "reference_entities")

# Bounds on the entity coverage (arXiv 2502.11190, and its record, where they hold on
# every row): a reference with few entities must lose half of them, one with more 70 %.
FEW_ENTITIES = 3
FORGOTTEN_BELOW_IF_FEW = 0.5
FORGOTTEN_UP_TO = 0.3
RETAINED_FROM = 0.3


def is_forgotten(row: EvaluatedRow) -> bool:
    """Return whether an answer gives away nothing that its reference says."""
    assert row.reference_entities is not None
    assert row.entity_coverage is not None
    if row.nli_label == "contradiction":
        return True
    if len(row.reference_entities) <= FEW_ENTITIES:
        return row.entity_coverage < FORGOTTEN_BELOW_IF_FEW
    return row.entity_coverage <= FORGOTTEN_UP_TO


def is_retained(row: EvaluatedRow) -> bool:
    """Return whether an answer still says what its reference says."""
    assert row.entity_coverage is not None
    return row.nli_label != "contradiction" and row.entity_coverage >= RETAINED_FROM


@metric("kfr", needs=_NEEDS, sets="forget", columns=("forgotten",))
def kfr(rows: Rows) -> float:
    """Knowledge forgetting rate: share of forget answers that give nothing away, 0 to 1.

    Forgotten if the answer contradicts the reference (premise answer, hypothesis reference), or
    names too few of its entities. Source: arXiv 2502.11190.
    """
    return keep_scores(rows, "forgotten", [int(is_forgotten(row)) for row in rows])


@metric("krr", needs=_NEEDS, sets="retain", columns=("retained",))
def krr(rows: Rows) -> float:
    """Knowledge retention rate: share of retain answers that still say it, 0 to 1.

    Retained if the answer is not contradicted by the reference (premise reference, hypothesis
    answer) and names enough of its entities. Source: arXiv 2502.11190.
    """
    return keep_scores(rows, "retained", [int(is_retained(row)) for row in rows])
