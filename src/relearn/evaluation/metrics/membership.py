"""Membership inference: can an attacker tell the forget set from a holdout that no model has seen?

An attack gives each row a score, higher for likelier members. Of each attack two figures are kept:
the area under the ROC curve of forget rows against holdout rows (0 to 1; 0.5: no better than
guessing; 1: forget rows are all likelier), and the share of forget rows found when at most 1 % of
the holdout is taken for members (Carlini et al. 2022, arXiv 2112.03570). Forgotten well, a model
has the figures of a model that never saw the forget set. Some code counts the other way round, a
holdout row as the positive; there the area is 1 less ours.
"""

import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from relearn.evaluation.metrics.base import joint_metric, row_scores
from relearn.evaluation.rows import EvaluatedRow, Rows, RowSets

LOWEST_SHARE = 0.2
FALSE_POSITIVE_RATE = 0.01

Attack = Callable[..., float]


def lowest_mean(values: Sequence[float], share: float) -> float:
    """Return the mean of the lowest `share` of `values`, of at least one."""
    return float(np.mean(np.sort(values)[: max(1, int(len(values) * share))]))


def loss(row: EvaluatedRow) -> float:
    """Attack by the mean token loss of the reference: members have a lower one.

    Source: Yeom et al. 2018 (arXiv 1709.01604)
    """
    return -row.answer_loss


def zlib_ratio(row: EvaluatedRow) -> float:
    """Attack by the loss over the bytes of the compressed reference.

    Source: Carlini et al. 2021 (arXiv 2012.07805)
    """
    return -row.answer_loss / len(zlib.compress(row.reference.encode()))


def min_k(row: EvaluatedRow, k: float = LOWEST_SHARE) -> float:
    """Attack by the mean log-probability of the share k (default 0.2) of least likely tokens.

    Source: Shi et al. 2023 (arXiv 2310.16789)
    """
    return lowest_mean(row.answer_log_probs or (), k)


def min_k_plus_plus(row: EvaluatedRow, k: float = LOWEST_SHARE) -> float:
    """Attack by the mean of the share k (default 0.2) of lowest standardised log-probabilities.

    Source: Zhang et al. 2024 (arXiv 2404.02936)
    """
    return lowest_mean(row.answer_z_scores or (), k)


def reference(row: EvaluatedRow) -> float:
    """Attack by how much lower the loss is than the base model's.

    Source: Carlini et al. 2021 (arXiv 2012.07805); Mireshghallah et al. 2022 (arXiv 2203.03929)
    """
    assert row.base_loss is not None
    return row.base_loss - row.answer_loss


def gradient_norm(row: EvaluatedRow) -> float:
    """Attack by the norm of the loss's gradient by all weights: members have a lower one.

    Source: Wang et al. 2024, Pandora's White-Box (arXiv 2402.17012), Euclidean norm over all
    weights together
    """
    assert row.gradient_norm is not None
    return -row.gradient_norm


ATTACKS: Mapping[str, tuple[Attack, tuple[str, ...]]] = {
    "loss": (loss, ("answer_log_probs",)),
    "zlib": (zlib_ratio, ("answer_log_probs",)),
    "min_k": (min_k, ("answer_log_probs",)),
    "min_k_plus_plus": (min_k_plus_plus, ("answer_z_scores",)),
    "reference": (reference, ("answer_log_probs", "base_loss")),
    "gradient_norm": (gradient_norm, ("gradient_norm",)),
}
"""Attacks by name, each with the fields of a row that it reads."""


def roc_area(members: Sequence[float], others: Sequence[float]) -> float:
    """Return the probability that a member scores higher than another row, 0 to 1."""
    return float(roc_auc_score([1] * len(members) + [0] * len(others), [*members, *others]))


def found_at_low_alarm(members: Sequence[float], others: Sequence[float]) -> float:
    """Return the greatest share of members found with at most 1 % of the others, 0 to 1."""
    false, true, _ = roc_curve(
        [1] * len(members) + [0] * len(others), [*members, *others], drop_intermediate=False
    )
    return float(true[false <= FALSE_POSITIVE_RATE].max())


def attack_scores(rows: Rows, name: str, **options: float) -> list[float]:
    """Return each row's score under the attack `name`; kept with the row as `mia_NAME`."""
    attack = ATTACKS[name][0]
    key = "_".join([f"mia_{name}", *(f"{option:g}" for option in options.values())])
    return row_scores(rows, key, lambda row: attack(row, **options))


def _register(name: str, attack: Attack, fields: tuple[str, ...]) -> None:
    def both(sets: RowSets, options: Mapping[str, float]) -> list[list[float]]:
        return [attack_scores(sets[side], name, **options) for side in ("forget", "holdout")]

    def area(sets: RowSets, _: Mapping[str, float], **options: float) -> float:
        return roc_area(*both(sets, options))

    def found(sets: RowSets, _: Mapping[str, float], **options: float) -> float:
        return found_at_low_alarm(*both(sets, options))

    summary, _, source = (attack.__doc__ or "").partition("\n")
    area.__doc__ = f"{summary} Area under the ROC curve, 0 to 1.\n{source}"
    found.__doc__ = f"{summary} Share of members found at 1 % false alarms, 0 to 1.\n{source}"
    needs = {"forget": fields, "holdout": fields}
    options = tuple(inspect.signature(attack).parameters)[1:]
    joint_metric(f"mia_{name}_auc", needs, options=options)(area)
    joint_metric(f"mia_{name}_tpr", needs, options=options)(found)


for _name, (_attack, _fields) in ATTACKS.items():
    _register(_name, _attack, _fields)
