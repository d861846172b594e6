"""Results that open-unlearning wrote, read as relearn's own: figures, and rows with their losses.

Its evaluators write `TOFU_EVAL.json` or `MUSE_EVAL.json`, with a value for each row, and
`…_SUMMARY.json` with the figures alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relearn.base.errors import UserError
from relearn.config import SetName
from relearn.evaluation.rows import EvaluatedRow

_OF_ALL = {
    "privleak": "overall/privacy_leakage",
    "mia_loss": "overall/mia_loss_auc",
    "mia_zlib": "overall/mia_zlib_auc",
    "mia_min_k": "overall/mia_min_k_auc",
    "mia_min_k_plus_plus": "overall/mia_min_k_plus_plus_auc",
    "mia_reference": "overall/mia_reference_auc",
    "mia_gradnorm": "overall/mia_gradient_norm_auc",
}
_OF_TOFU = {
    "forget_quality": "overall/forget_quality",
    "model_utility": "overall/model_utility",
    "forget_Q_A_Prob": "forget/probability",
    "forget_Q_A_ROUGE": "forget/rougeL_recall",
    "forget_truth_ratio": "forget/truth_ratio",
    "retain_Q_A_Prob": "retain/probability",
    "retain_Q_A_ROUGE": "retain/rougeL_recall",
    "retain_Truth_Ratio": "retain/truth_ratio",
    "ra_Q_A_Prob_normalised": "real_authors/probability",
    "ra_Q_A_ROUGE": "real_authors/rougeL_recall",
    "ra_Truth_Ratio": "real_authors/truth_ratio",
    "wf_Q_A_Prob_normalised": "world_facts/probability",
    "wf_Q_A_ROUGE": "world_facts/rougeL_recall",
    "wf_Truth_Ratio": "world_facts/truth_ratio",
    "extraction_strength": "forget/extraction_strength",
    "exact_memorization": "forget/exact_memorization",
}
_OF_MUSE = {
    "forget_knowmem_ROUGE": "forget_questions/knowledge_memorization",
    "retain_knowmem_ROUGE": "retain_questions/knowledge_memorization",
    "forget_verbmem_ROUGE": "forget_verbatim/rougeL_f1",
    "extraction_strength": "forget_verbatim/extraction_strength",
    "exact_memorization": "forget_verbatim/exact_memorization",
}
_IN_PERCENT = ("privleak",)
# TOFU's sets, and the evaluations with the losses of their paraphrased and wrong answers.
_LOSSES: Mapping[SetName, tuple[str, str]] = {
    "forget": ("forget_Q_A_PARA_Prob", "forget_Q_A_PERT_Prob"),
    "retain": ("retain_Q_A_PARA_Prob", "retain_Q_A_PERT_Prob"),
    "real_authors": ("ra_Q_A_Prob", "ra_Q_A_PERT_Prob"),
    "world_facts": ("wf_Q_A_Prob", "wf_Q_A_PERT_Prob"),
}


def results_file(path: Path) -> Path | None:
    """Return open-unlearning's file of results: `path`, or the one in that folder; None if none."""
    if path.is_dir():
        found = [*sorted(path.glob("*_EVAL.json")), *sorted(path.glob("*_SUMMARY.json"))]
        return next(iter(found), None)
    return path if path.suffix == ".json" and path.is_file() else None


def read_figures(file: Path) -> dict[str, float]:
    """Return the figures of a file by relearn's names; those that relearn has not are left out.

    Raises:
        UserError: it is no file of open-unlearning's results.
    """
    content = _read(file)
    names = _OF_ALL | (_OF_MUSE if _is_muse(content) else _OF_TOFU)
    figures = {}
    for name, value in content.items():
        value = value.get("agg_value") if isinstance(value, dict) else value
        if name in names and isinstance(value, int | float):
            figures[names[name]] = value / 100 if name in _IN_PERCENT else float(value)
    if not figures:
        raise UserError(
            f"{file} has none of open-unlearning's figures.",
            "Name its TOFU_EVAL.json, TOFU_SUMMARY.json, MUSE_EVAL.json or MUSE_SUMMARY.json.",
        )
    return figures


def read_rows(file: Path) -> list[EvaluatedRow]:
    """Return TOFU's rows with the losses of paraphrased and wrong answers, for forget quality.

    Their questions are not in the file, so no other model's row can be paired with them.

    Raises:
        UserError: the file has no such values.
    """
    content = _read(file)
    rows = [
        EvaluatedRow(
            set=name, id=f"{name}-{int(index) + 1:05}", question="", reference="", generation="",
            paraphrased_loss=_mean(right["avg_loss"]),
            wrong_losses=_all(wrong[index]["avg_loss"]),
        )
        for name, (paraphrased, perturbed) in _LOSSES.items()
        if (wrong := _by_index(content, perturbed)) is not None
        for index, right in (_by_index(content, paraphrased) or {}).items()
    ]  # fmt: skip
    if not rows:
        raise UserError(
            f"{file} has no values of single rows of TOFU.",
            "Name open-unlearning's TOFU_EVAL.json.",
        )
    return rows


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} can't be read as JSON.", "Check the file.") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} is no file of results.", "Name open-unlearning's TOFU_EVAL.json.")
    return content


def _is_muse(content: Mapping[str, Any]) -> bool:
    return any("knowmem" in name or "verbmem" in name for name in content)


def _by_index(content: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    found = content.get(name)
    values = found.get("value_by_index") if isinstance(found, dict) else None
    return values if isinstance(values, dict) else None


def _all(loss: float | list[float]) -> list[float]:
    return list(loss) if isinstance(loss, list) else [loss]


def _mean(loss: float | list[float]) -> float:
    losses = _all(loss)
    return sum(losses) / len(losses)
