"""MUSE's metrics: verbatim memorisation, knowledge memorisation, privacy leakage.

Source: Shi et al. 2024, MUSE (arXiv 2407.06460). There the figures are times 100.
"""

from collections.abc import Mapping

from relearn.evaluation.metrics.base import joint_metric, metric, row_scores
from relearn.evaluation.metrics.membership import lowest_mean, roc_area
from relearn.evaluation.metrics.rouge import rouge
from relearn.evaluation.rows import EvaluatedRow, Rows, RowSets

LOWEST_SHARE = 0.4  # of the tokens, in the benchmark's code; its paper leaves it open

_LIKELIHOOD = ("answer_log_probs",)


def _continuation_overlap(row: EvaluatedRow) -> float:
    assert row.continuation is not None
    assert row.continuation_reference is not None
    return float(rouge(row.continuation_reference, row.continuation)["rougeL"].fmeasure)


@metric("verbatim_memorization", needs=("continuation", "continuation_reference"))
def verbatim_memorization(rows: Rows) -> float:
    """ROUGE-L F1 of the model's continuation of half the reference with the other half, 0 to 1.

    Source: Shi et al. 2024, MUSE (arXiv 2407.06460), there from a prefix of fixed length
    """
    scores = row_scores(rows, "verbatim_memorization", _continuation_overlap)
    return sum(scores) / len(scores)


@metric("knowledge_memorization", needs=("generation",))
def knowledge_memorization(rows: Rows) -> float:
    """ROUGE-L F1 of the answers to questions with the references, 0 to 1.

    Source: Shi et al. 2024, MUSE (arXiv 2407.06460), there with examples in the prompt
    """
    scores = row_scores(
        rows,
        "knowledge_memorization",
        lambda row: float(rouge(row.reference, row.generation)["rougeL"].fmeasure),
    )
    return sum(scores) / len(scores)


def leakage(area: float, retain_model_area: float) -> float:
    """Return (A - A_retain) / A_retain, with A the areas of holdout rows against forget rows.

    Args:
        area: Of forget rows against holdout rows, as everywhere else here: MUSE's is 1 less that.
        retain_model_area: Likewise, of the model that never saw the forget set.

    Returns:
        -1 up; 0 is best, below it the forget set is still known, above it conspicuously unknown.
    """
    return ((1 - area) - (1 - retain_model_area)) / max(1 - retain_model_area, 1e-10)


@joint_metric(
    "privacy_leakage",
    needs={
        name: _LIKELIHOOD
        for name in ("forget", "holdout", "retain_model/forget", "retain_model/holdout")
    },
)
def privacy_leakage(sets: RowSets, _: Mapping[str, float]) -> float:
    """How far membership inference differs from the retain model's; -1 up, best 0.

    Min-k attack on the 40 % least likely tokens. Source: Shi et al. 2024, MUSE (arXiv 2407.06460)
    """
    return leakage(_area(sets["forget"], sets["holdout"]),
                   _area(sets["retain_model/forget"], sets["retain_model/holdout"]))  # fmt: skip


def _area(members: Rows, others: Rows) -> float:
    def score(row: EvaluatedRow) -> float:
        return lowest_mean(row.answer_log_probs or (), LOWEST_SHARE)

    return roc_area(*(row_scores(rows, "mia_min_40", score) for rows in (members, others)))
