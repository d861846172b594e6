"""How a run's figures are named, ordered and written; what each metric is, its own file says."""

import math
from collections.abc import Iterable

from relearn.evaluation.general import ABILITY
from relearn.evaluation.metrics import METRICS
from relearn.evaluation.metrics.base import Figure

SETS = {
    "forget": "Forget set",
    "forget_unseen": "Forget set, unseen phrasings",
    "forget_earlier": "Earlier requests",
    "retain": "Retain set",
    "retain_unseen": "Retain set, unseen phrasings",
    "real_authors": "Real authors",
    "world_facts": "World facts",
    "holdout": "Holdout, never seen",
    "overall": "Over several sets",
    "general": "General ability",
}
"""Headings of the evaluated sets, in the order in which they are shown."""

METHODS = {
    "relearn": "ReLearn",
    "relearn_deep": "ReLearn, deep",
    "relearn_dpo": "ReLearn-DPO",
    "ga": "GA",
    "grad_diff": "GradDiff",
    "kl_min": "KL-min",
    "npo": "NPO",
    "simnpo": "SimNPO",
    "dpo": "DPO",
    "idk": "IDK",
    "altpo": "AltPO",
    "undial": "UNDIAL",
    "jensun": "JensUn",
    "wga": "WGA",
    "satimp": "SatImp",
    "ceu": "CE-U",
    "pdu": "PDU",
    "rmu": "RMU",
    "task_vector": "Task-vector negation",
    "npo_sure": "NPO + SURE",
    "npo_memflex": "NPO + MemFlex",
}
"""Names of the unlearning methods, as papers write them."""

MAIN_FIGURES = {
    "forget/rougeL_recall": "forget ROUGE-L",
    "retain/rougeL_recall": "retain ROUGE-L",
    "forget/kfr": "KFR",
    "retain/krr": "KRR",
    "forget/ls": "LS",
    "seconds": "seconds",
}
"""What tells models apart at a glance; `seconds` is the training's wall-clock time."""

SHOWN_FIRST = (
    *("forget/kfr", "forget/rougeL_recall", "forget/ls", "forget/perplexity", "forget_unseen/kfr"),
    "forget_earlier/kfr",
    *("retain/krr", "retain/rougeL_recall", "retain/ls", "retain/perplexity", "retain_unseen/krr"),
    *("overall/forget_quality", "overall/model_utility"),
)
"""What the report's table shows before it is unfolded."""

_GROUPS = (
    *(
        "knowledge",
        "hallucination",
        "cross_leak",
        "rouge",
        "exact_match",
        "similarity",
        "linguistic_score",
        "language",
    ),
    *(
        "diversity",
        "multiple_choice",
        "tofu",
        "memorization",
        "muse",
        "semeval",
        "general",
        "membership",
    ),
)
"""Groups of metrics (`Metric.group`) in the order in which they are shown; others come last."""

_UNMEASURED = "_unmeasured"
_OTHERS = {"ability": ABILITY, "entity_coverage": Figure(label="Entity coverage")}


def meaning(metric: str) -> Figure:
    """Return how `metric` is to be read; an unknown one has its key as label and no direction."""
    of, unmeasured, _ = metric.partition(_UNMEASURED)
    if unmeasured and of in METRICS:
        return Figure(
            label=f"Answers left out of {METRICS[of].label.partition(',')[0]}",
            text="Number of answers that nothing could measure.",
            range=(0, math.inf),
        )
    return METRICS.get(metric) or _OTHERS.get(metric) or Figure(label=metric)


def order(key: str) -> tuple[int, ...]:
    """Return the sort key of the flat metric key `key` ("forget/kfr"); unknown ones come last."""
    set_name, _, metric = key.partition("/")
    name, unmeasured, _ = metric.partition(_UNMEASURED)
    group = METRICS[name].group if name in METRICS else set_name
    places = _position(set_name, SETS), _position(group, _GROUPS)
    return *places, len(unmeasured), _position(name, METRICS)


def _position(name: str, names: Iterable[str]) -> int:
    places = {known: place for place, known in enumerate(names)}
    return places.get(name, len(places))


def number(value: float | None) -> str:
    """Return `value` with three digits: 0.847, 14.5, 2,345; a dash where there is none.

    >>> [number(x) for x in (0.8474, 1.0, 14.47, 2345.1, 0.00012, None)]
    ['0.847', '1.00', '14.5', '2,345', '1.20e-04', '-']
    """
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if size >= 1e6 and size != 1e6:
        return f"{value:.2e}"
    for limit, digits in ((100, 0), (10, 1), (1, 2), (0.001, 3)):
        if round(size, digits) >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.2e}" if value else "0"


def percent(value: float) -> str:
    """Return the share `value` as a whole percentage."""
    return f"{value:.0%}"


def duration(seconds: float) -> str:
    """Return `seconds` as a person says them: 4.2 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Return `count` bytes in GiB or MiB."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
