"""The aggregate of SemEval-2025 task 4."""

from collections.abc import Mapping, Sequence

from scipy.stats import hmean

from relearn.evaluation.metrics.base import joint_metric
from relearn.evaluation.rows import RowSets

_FORGET = ("forget/verbatim_memorization", "forget/exact_match")
_RETAIN = ("retain/verbatim_memorization", "retain/exact_match")
_ATTACK = "overall/mia_loss_auc"
_ABILITY = "general/ability"


def semeval_score(
    forget: Sequence[float], retain: Sequence[float], attack_area: float, ability: float
) -> float:
    """Return the mean of task score, membership score and general ability, 0 to 1.

    Args:
        forget: Regurgitation (ROUGE-L of sentence completions) and knowledge (exact match) on
            forget sets, each 0 to 1.
        retain: The same on retain sets.
        attack_area: Area under the ROC curve of the loss attack, 0 to 1.
        ability: Accuracy on MMLU, or whatever stands for it, 0 to 1.
    """
    task = float(hmean([*(1 - value for value in forget), *retain]))
    membership = 1 - 2 * abs(attack_area - 0.5)
    return (task + membership + ability) / 3


@joint_metric(
    "semeval",
    label="SemEval-2025 aggregate",
    higher_is_better=True,
    needs_values=(*_FORGET, *_RETAIN, _ATTACK, _ABILITY),
)
def semeval(_: RowSets, values: Mapping[str, float]) -> float:
    """Aggregate of SemEval-2025 task 4: mean of a task, a membership and an ability score.

    The task score is the harmonic mean of sentence completion (ROUGE-L) and exact match, on the
    forget set 1 minus these: there over three subtasks, here over one. Membership is
    1 - 2 |AUC - 0.5| of the loss attack. Ability is the mean of the tasks of
    `evaluation.lm_eval_tasks`, there MMLU.

    Source: Ramakrishna et al. 2025, arXiv 2504.02883
    """
    return semeval_score(
        [values[name] for name in _FORGET],
        [values[name] for name in _RETAIN],
        values[_ATTACK],
        values[_ABILITY],
    )
