"""Membership inference: can an attacker tell the forget set from a holdout that no model has seen?

An attack gives each row a score, higher for likelier members. Each attack has two metrics: the
area under the ROC curve of forget rows against holdout rows (0 to 1; 0.5 is chance; 1 means that
every forget row scores higher), and the share of forget rows found when at most 1 % of the holdout
is mistaken for members (Carlini et al. 2022, arXiv 2112.03570). A model that has forgotten well
has the figures of a model that never saw the forget set. Some code takes holdout rows as the
positives; its area is 1 minus ours.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from inspect import cleandoc
from typing import Annotated

import numpy as np
from pydantic import Field
from sklearn.metrics import roc_auc_score, roc_curve

from relearn.base.options import Options
from relearn.evaluation.metrics.base import joint_metric, row_scores
from relearn.evaluation.rows import EvaluatedRow, Rows, RowSets

LOWEST_SHARE = 0.2
FALSE_POSITIVE_RATE = 0.01

Attack = Callable[..., float]
Share = Annotated[float, Field(gt=0, le=1)]


def lowest_mean(values: Sequence[float], share: float) -> float:
    """Return the mean of the lowest `share` of `values`, of at least one."""
    return float(np.mean(np.sort(values)[: max(1, int(len(values) * share))]))


def loss(row: EvaluatedRow) -> float:
    """Members have a lower mean token loss of the reference.

    Source: Yeom et al. 2018, arXiv 1709.01604
    """
    return -row.answer_loss


def zlib_ratio(row: EvaluatedRow) -> float:
    """Members have a lower loss for each byte of the compressed reference.

    Source: Carlini et al. 2021, arXiv 2012.07805
    """
    return -row.answer_loss / len(zlib.compress(row.reference.encode()))


def min_k(row: EvaluatedRow, k: Share = LOWEST_SHARE) -> float:
    """Members have a higher mean log-probability of the share k of least likely tokens.

    Source: Shi et al. 2023, arXiv 2310.16789

    Args:
        row: With the log-probabilities.
        k: Share of the tokens.
    """
    return lowest_mean(row.answer_log_probs or (), k)


def min_k_plus_plus(row: EvaluatedRow, k: Share = LOWEST_SHARE) -> float:
    """The same with log-probabilities standardised by the distribution at each position.

    Source: Zhang et al. 2024, arXiv 2404.02936

    Args:
        row: With the standardised log-probabilities.
        k: Share of the tokens.
    """
    return lowest_mean(row.answer_z_scores or (), k)


def reference(row: EvaluatedRow) -> float:
    """Members have a loss further below the base model's.

    Source: Carlini et al. 2021, arXiv 2012.07805; Mireshghallah et al. 2022, arXiv 2203.03929
    """
    assert row.base_loss is not None
    return row.base_loss - row.answer_loss


def gradient_norm(row: EvaluatedRow) -> float:
    """Members have a smaller gradient of the loss (Euclidean norm over all weights).

    Source: Wang et al. 2024, Pandora's White-Box, arXiv 2402.17012
    """
    assert row.gradient_norm is not None
    return -row.gradient_norm


ATTACKS: Mapping[str, tuple[str, Attack, tuple[str, ...]]] = {
    "loss": ("loss", loss, ("answer_log_probs",)),
    "zlib": ("zlib", zlib_ratio, ("answer_log_probs",)),
    "min_k": ("min-k", min_k, ("answer_log_probs",)),
    "min_k_plus_plus": ("min-k++", min_k_plus_plus, ("answer_z_scores",)),
    "reference": ("reference model", reference, ("answer_log_probs", "base_loss")),
    "gradient_norm": ("gradient norm", gradient_norm, ("gradient_norm",)),
}
"""Attacks by name, each with its name for readers and the fields of a row that it reads."""


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
    attack = ATTACKS[name][1]
    key = "_".join([f"mia_{name}", *(f"{option:g}" for option in options.values())])
    return row_scores(rows, key, lambda row: attack(row, **options))


def _register(name: str, label: str, attack: Attack, fields: tuple[str, ...]) -> None:
    def both(sets: RowSets, options: Mapping[str, float]) -> list[list[float]]:
        return [attack_scores(sets[side], name, **options) for side in ("forget", "holdout")]

    def area(sets: RowSets, _: Mapping[str, float], **options: float) -> float:
        return roc_area(*both(sets, options))

    def found(sets: RowSets, _: Mapping[str, float], **options: float) -> float:
        return found_at_low_alarm(*both(sets, options))

    about = cleandoc(attack.__doc__ or "")
    for figure, compute, label_of, text in (
        (
            "auc",
            area,
            "AUC",
            "How well an attacker tells forget rows from unseen ones; 0.5 is chance.",
        ),
        ("tpr", found, "TPR", "Share of forget rows found at 1 % false alarms; 0.01 is chance."),
    ):
        compute.__doc__ = f"{text}\n\n{about}"
        joint_metric(
            f"mia_{name}_{figure}",
            label=f"Membership inference, {label}: {label_of}",
            needs={"forget": fields, "holdout": fields},
            options=Options(f"metric mia_{name}_{figure}", attack, given=1),
        )(compute)


for _name, _attack in ATTACKS.items():
    _register(_name, *_attack)
