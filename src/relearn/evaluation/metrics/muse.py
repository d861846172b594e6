"""MUSE's metrics: verbatim memorisation, knowledge memorisation, privacy leakage.

Source: Shi et al. 2024, MUSE (arXiv 2407.06460), which prints the values times 100.
"""

import math
from collections.abc import Mapping

from relearn.evaluation.metrics.base import RECALLED, joint_metric, metric, row_scores
from relearn.evaluation.metrics.membership import lowest_mean, roc_area
from relearn.evaluation.metrics.rouge import rouge
from relearn.evaluation.rows import EvaluatedRow, Rows, RowSets

LOWEST_SHARE = 0.4  # of the tokens, in the benchmark's code; its paper leaves it open

_LIKELIHOOD = ("answer_log_probs",)


@metric(
    "verbatim_memorization",
    label="Verbatim memorisation (MUSE)",
    higher_is_better=RECALLED,
    needs=("continuation", "continuation_reference"),
)
def verbatim_memorization(row: EvaluatedRow) -> float:
    """Given the first half of the reference: ROUGE-L F1 of the continuation with the second half.

    Source: Shi et al. 2024, MUSE, arXiv 2407.06460, there from a prefix of fixed length
    """
    assert row.continuation is not None
    assert row.continuation_reference is not None
    return float(rouge(row.continuation_reference, row.continuation)["rougeL"].fmeasure)


@metric(
    "knowledge_memorization",
    label="Knowledge memorisation (MUSE)",
    higher_is_better=RECALLED,
    needs=("generation",),
)
def knowledge_memorization(row: EvaluatedRow) -> float:
    """ROUGE-L F1 of the answers with the references.

    Source: Shi et al. 2024, MUSE, arXiv 2407.06460, there with examples in the prompt
    """
    return float(rouge(row.reference, row.generation)["rougeL"].fmeasure)


def leakage(area: float, retain_model_area: float) -> float:
    """Return (A - A_retain) / A_retain, with A the areas of holdout rows against forget rows.

    Args:
        area: Of forget rows against holdout rows, as everywhere else here; MUSE's is 1 minus it.
        retain_model_area: The same for the model that never saw the forget set.

    Returns:
        -1 and up. 0 is best; below 0 the forget set is still known, above 0 it is less likely than
        data the model never saw.
    """
    return ((1 - area) - (1 - retain_model_area)) / max(1 - retain_model_area, 1e-10)


@joint_metric(
    "privacy_leakage",
    label="Privacy leakage (MUSE)",
    range=(-1, math.inf),
    needs={
        name: _LIKELIHOOD
        for name in ("forget", "holdout", "retain_model/forget", "retain_model/holdout")
    },
)
def privacy_leakage(sets: RowSets, _: Mapping[str, float]) -> float:
    """Membership inference compared with the retain model's; 0 is best, below 0 it is still known.

    (A - A_retain) / A_retain with A the area under the ROC curve of the min-k attack on the 40 %
    least likely tokens, holdout rows being the positives.

    Source: Shi et al. 2024, MUSE, arXiv 2407.06460
    """
    return leakage(_area(sets["forget"], sets["holdout"]),
                   _area(sets["retain_model/forget"], sets["retain_model/holdout"]))  # fmt: skip


def _area(members: Rows, others: Rows) -> float:
    def score(row: EvaluatedRow) -> float:
        return lowest_mean(row.answer_log_probs or (), LOWEST_SHARE)

    return roc_area(*(row_scores(rows, "mia_min_40", score) for rows in (members, others)))
