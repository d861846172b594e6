"""A run's main figures in a few rows, for the terminal and for notebooks; the files have all."""

from dataclasses import dataclass

from relearn.report.glossary import number
from relearn.report.results import RunResults

_ROWS = (
    ("forget", "forgotten (KFR)", "forget/kfr"),
    ("forget", "asked in unseen ways", "forget_unseen/kfr"),
    ("forget", "said again (ROUGE-L)", "forget/rougeL_recall"),
    ("forget", "of earlier requests", "forget_earlier/kfr"),
    ("forget", "made up instead", "forget/hallucination"),
    ("forget", "others' facts told", "forget/cross_leak"),
    ("retain", "kept (KRR)", "retain/krr"),
    ("retain", "unseen questions", "retain_unseen/krr"),
    ("retain", "said again (ROUGE-L)", "retain/rougeL_recall"),
    ("", "language, forget (LS)", "forget/ls"),
    ("", "language, retain (LS)", "retain/ls"),
    ("", "model utility", "overall/model_utility"),
    ("", "forget quality", "overall/forget_quality"),
)
"""Set, which the first of its rows names; label; figure."""


@dataclass(frozen=True)
class Outcome:
    """The main figures of some models.

    Attributes:
        models: Their names.
        rows: A label and, by model, a figure; empty where it was not measured.
    """

    models: list[str]
    rows: list[list[str]]


def outcome(results: RunResults, most: int | None = None) -> Outcome:
    """Return the main figures of a run.

    Args:
        results: Of the run.
        most: Models that there is room for; of more than these, only the target and the unlearned
            model are shown. None means any number.
    """
    models = [model.key for model in results.models]
    if most is not None and len(models) > most:
        models = models[:2]
    rows: list[list[str]] = []
    begun = {""}
    for of, label, key in _ROWS:
        values = [results.metric(model, key) for model in models]
        if any(value is not None for value in values):
            # Forget quality is a chance, often a tiny one.
            write = number if key == "overall/forget_quality" else "{:.3f}".format
            label = (f"  {label}" if of else label) if of in begun else f"{of}: {label}"
            begun.add(of)
            rows.append([label, *("" if v is None else write(v) for v in values)])
    if results.audit:
        rows.append(_audit_row(results, models))
    return Outcome(models, rows)


def _audit_row(results: RunResults, models: list[str]) -> list[str]:
    """Return the share of facts that the attack got out that is worst for the unlearned model."""
    audit = results.audit
    if not audit or not audit.worst:
        return ["audit: told by any attack", *("0%" if m == "unlearned" else "" for m in models)]
    rates = [audit.rates[audit.worst].get(model) for model in models]
    label = f"audit, worst: {audit.worst}"
    return [label, *("" if rate is None else f"{rate:.0%}" for rate in rates)]
