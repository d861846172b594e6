"""TOFU's metrics: probability, truth ratio, forget quality, model utility.

Source: Maini et al. 2024, TOFU (arXiv 2401.06121), and the benchmark's own evaluation record, which
these functions reproduce. All losses are means over an answer's tokens, its end token included,
in nats.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hmean, ks_2samp

from relearn.evaluation.metrics.base import RECALLED, exact_mean, joint_metric, metric, row_scores
from relearn.evaluation.metrics.rouge import rouge_l_recall
from relearn.evaluation.rows import EvaluatedRow, RowSets

Array = NDArray[np.float64]

# How the benchmark's files are called, and the names of its sets in its table.
_FILES = {
    "eval_real_author_wo_options.json": "Real Authors",
    "eval_real_world_wo_options.json": "Real World",
    "eval_log.json": "Retain",
    "eval_log_forget.json": "Forget",
}
_WITH_OPTIONS = ("Real Authors", "Real World")


def probabilities(losses: ArrayLike, wrong_losses: Sequence[ArrayLike] | None = None) -> Array:
    """Return the probability of each answer, 0 to 1: exp(-loss), the geometric mean of its tokens'.

    Args:
        losses: (rows,) of the true answers.
        wrong_losses: The false answers' of each row; where given, the true answer's share of the
            probability of all, as on real authors and world facts.
    """
    true = np.exp(-np.asarray(losses, dtype=float))
    if wrong_losses is None:
        return true
    return true / (true + [np.exp(-np.asarray(losses)).sum() for losses in wrong_losses])


def truth_ratios(paraphrased_losses: ArrayLike, wrong_losses: Sequence[ArrayLike]) -> Array:
    """Return P(false answers) / P(paraphrased true answer) of each row, 0 up.

    P of the false answers is their geometric mean, as in the benchmark's code; the paper's formula
    has the arithmetic mean.

    Args:
        paraphrased_losses: (rows,).
        wrong_losses: The false answers' of each row, at least one.
    """
    wrong = np.array([np.asarray(losses, dtype=float).mean() for losses in wrong_losses])
    return np.exp(np.asarray(paraphrased_losses, dtype=float) - wrong)


def truth_scores(ratios: Array, *, forgets: bool) -> Array:
    """Return what the benchmark averages of truth ratios, 0 to 1.

    On a forget set min(r, 1/r): best where true and false are equally likely. On others
    max(0, 1 - r): best where the false is unlikely.
    """
    return np.minimum(ratios, 1 / ratios) if forgets else np.maximum(0, 1 - ratios)


def forget_quality(ratios: ArrayLike, retain_model_ratios: ArrayLike) -> tuple[float, float]:
    """Compare the forget set's truth ratios under a model and under a model never trained on it.

    Returns:
        p-value and statistic of the two-sample Kolmogorov-Smirnov test, both 0 to 1; a high p-value
        says that the models can't be told apart.
    """
    test = ks_2samp(ratios, retain_model_ratios)
    return float(test.pvalue), float(test.statistic)


_ALTERNATIVES = ("paraphrased_loss", "wrong_losses")
_UTILITY_SETS = ("retain", "real_authors", "world_facts")


def _truth_ratio_of(row: EvaluatedRow) -> float:
    assert row.paraphrased_loss is not None
    assert row.wrong_losses is not None
    return float(truth_ratios([row.paraphrased_loss], [row.wrong_losses])[0])


@metric(
    "probability",
    label="Probability (TOFU)",
    mean=exact_mean,
    higher_is_better=RECALLED,
    needs=("answer_log_probs",),
)
def probability(row: EvaluatedRow) -> float:
    """Geometric mean of the probabilities of the reference's tokens: exp(-mean token loss).

    On real authors and world facts: its share of the probability of the true and wrong answers.

    Source: Maini et al. 2024, TOFU, arXiv 2401.06121
    """
    wrong = row.wrong_losses if row.set in ("real_authors", "world_facts") else None
    return float(probabilities([row.answer_loss], [wrong] if wrong else None)[0])


@metric(
    "truth_ratio",
    label="Truth ratio (TOFU)",
    mean=exact_mean,
    higher_is_better=True,
    needs=_ALTERNATIVES,
    column="truth_score",
)
def truth_ratio(row: EvaluatedRow) -> float:
    """How badly true and wrong answers are told apart on forget sets; how well on others.

    With r = P(wrong answers) / P(paraphrased true answer), kept for each row as `truth_ratio`:
    min(r, 1/r) on forget sets, max(0, 1 - r) on others.

    Source: Maini et al. 2024, TOFU, arXiv 2401.06121
    """
    ratio = np.array(row_scores([row], "truth_ratio", _truth_ratio_of))
    return float(truth_scores(ratio, forgets=row.forgets)[0])


@joint_metric(
    "model_utility",
    label="Model utility (TOFU)",
    higher_is_better=True,
    needs={name: ("generation", "answer_log_probs", *_ALTERNATIVES) for name in _UTILITY_SETS},
)
def model_utility(sets: RowSets, _: Mapping[str, float]) -> float:
    """Harmonic mean of probability, ROUGE-L recall and truth ratio on what should be kept.

    The sets are the retain set, real authors and world facts.

    Source: Maini et al. 2024, TOFU, arXiv 2401.06121
    """
    parts = (probability, rouge_l_recall, truth_ratio)
    return float(hmean([part.compute(sets[name]) for name in _UTILITY_SETS for part in parts]))


def _forget_quality(sets: RowSets) -> tuple[float, float]:
    ratios = (
        row_scores(sets[name], "truth_ratio", _truth_ratio_of)
        for name in ("forget", "retain_model/forget")
    )
    return forget_quality(*ratios)


_BOTH_MODELS = {"forget": _ALTERNATIVES, "retain_model/forget": _ALTERNATIVES}


@joint_metric(
    "forget_quality",
    label="Forget quality (TOFU)",
    higher_is_better=True,
    needs=_BOTH_MODELS,
)
def forget_quality_p_value(sets: RowSets, _: Mapping[str, float]) -> float:
    """p-value: could the forget set's truth ratios be those of a model that never saw it?

    Kolmogorov-Smirnov test against the retain model. Its logarithm is often shown.

    Source: Maini et al. 2024, TOFU, arXiv 2401.06121
    """
    return _forget_quality(sets)[0]


@joint_metric(
    "ks_statistic", label="KS statistic (TOFU)", higher_is_better=False, needs=_BOTH_MODELS
)
def ks_statistic(sets: RowSets, _: Mapping[str, float]) -> float:
    """Largest gap between the truth ratio distributions of the model and of the retain model.

    The statistic of the same test.

    Source: Maini et al. 2024, TOFU, arXiv 2401.06121
    """
    return _forget_quality(sets)[1]


def from_recorded(
    target: Mapping[str, Mapping[str, Any]], retain_model: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Compute TOFU's figures from two evaluation records of the benchmark's own form.

    Args:
        target: Of the model in question: by file name (`eval_log.json`, `eval_log_forget.json`,
            `eval_real_author_wo_options.json`, `eval_real_world_wo_options.json`) its values by
            row: `avg_gt_loss`, `avg_paraphrased_loss`, `average_perturb_loss`, `rougeL_recall`.
        retain_model: Of the model trained on the retain set only.

    Returns:
        `model_utility`, `forget_quality` (p-value), `ks_statistic`; under `terms`, and beside
        these, every term by the benchmark's name, such as `Truth Ratio Real Authors`.
    """
    terms: dict[str, float] = {}
    for file, name in _FILES.items():
        terms |= _terms(target[file], name)
    utility = float(hmean([value for name, value in terms.items() if not name.endswith("Forget")]))
    terms["Model Utility"] = utility
    quality, statistic = forget_quality(
        _recorded_ratios(target["eval_log_forget.json"]),
        _recorded_ratios(retain_model["eval_log_forget.json"]),
    )
    return {
        "model_utility": utility,
        "forget_quality": quality,
        "ks_statistic": statistic,
        "terms": terms,
        **terms,
    }


def _terms(record: Mapping[str, Any], name: str) -> dict[str, float]:
    wrong = _column(record, "average_perturb_loss")
    losses = _column(record, "avg_gt_loss")
    truth = truth_scores(_recorded_ratios(record), forgets=name == "Forget")
    return {
        f"ROUGE {name}": float(np.mean(_column(record, "rougeL_recall"))),
        f"Prob. {name}": float(
            probabilities(losses, wrong if name in _WITH_OPTIONS else None).mean()
        ),
        f"Truth Ratio {name}": float(truth.mean()),
    }


def _recorded_ratios(record: Mapping[str, Any]) -> Array:
    return truth_ratios(
        _column(record, "avg_paraphrased_loss"), _column(record, "average_perturb_loss")
    )


def _column(record: Mapping[str, Any], field: str) -> list[Any]:
    """Return a field's values in the order of the rows' names, one and the same for all fields."""
    return [record[field][row] for row in record["avg_gt_loss"]]
