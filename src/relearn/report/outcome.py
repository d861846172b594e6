"""A run's main figures in ten rows, for the terminal and for notebooks; the files have all."""

from dataclasses import dataclass

from relearn.report.results import RunResults

_ROWS = (
    ("forget: forgotten (KFR)", "forget/kfr"),
    ("  asked in unseen ways", "forget_unseen/kfr"),
    ("  said again (ROUGE-L)", "forget/rougeL_recall"),
    ("  of earlier requests", "forget_earlier/kfr"),
    ("  made up instead", "forget/hallucination"),
    ("retain: kept (KRR)", "retain/krr"),
    ("  unseen questions", "retain_unseen/krr"),
    ("  said again (ROUGE-L)", "retain/rougeL_recall"),
    ("language, forget (LS)", "forget/ls"),
    ("language, retain (LS)", "retain/ls"),
)


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
    rows = []
    for label, key in _ROWS:
        values = [results.metric(model, key) for model in models]
        if any(value is not None for value in values):
            rows.append([label, *("" if v is None else f"{v:.3f}" for v in values)])
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
