"""Knowledge forgetting rate and knowledge retention rate."""

from collections.abc import Callable

from relearn.evaluation.metrics.base import NotComputed, keep_scores, metric
from relearn.evaluation.rows import EvaluatedRow, Rows

_NEEDS = ("nli_label", "entity_coverage", "reference_entities")

# Bounds on the entity coverage (arXiv 2502.11190, and its record, where they hold on
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


@metric("kfr", needs=_NEEDS, sets="forget", columns=("forgotten",), leaves_out=True)
def kfr(rows: Rows) -> float:
    """Knowledge forgetting rate: share of forget answers that give nothing away, 0 to 1.

    Forgotten if the answer contradicts the reference (premise answer, hypothesis reference), or
    names too few of its entities. An answer that is the reference but for case, white space and
    punctuation, or gives an identifier away in another form, is not forgotten; what names no
    entities is measured by its words, and what nothing can measure is left out and counted.
    Source: arXiv 2502.11190.
    """
    return _rate(rows, "forgotten", is_forgotten)


@metric("krr", needs=_NEEDS, sets="retain", columns=("retained",), leaves_out=True)
def krr(rows: Rows) -> float:
    """Knowledge retention rate: share of retain answers that still say it, 0 to 1.

    Retained if the answer is not contradicted by the reference (premise reference, hypothesis
    answer) and names enough of its entities; otherwise as for `kfr`. Source: arXiv 2502.11190.
    """
    return _rate(rows, "retained", is_retained)


def _rate(rows: Rows, name: str, label: Callable[[EvaluatedRow], bool | None]) -> float:
    labels = [(row, label(row)) for row in rows]
    measured = [(row, int(known)) for row, known in labels if known is not None]
    if not measured:
        raise NotComputed("no answer of the set could be measured")
    return keep_scores([row for row, _ in measured], name, [known for _, known in measured])
