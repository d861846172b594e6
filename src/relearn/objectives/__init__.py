"""Every module of this package is an objective; importing the package registers them all.

Each is also a plain loss, by its name: `relearn.objectives.npo(stats, beta=0.1)`, where `stats` are
`relearn.objectives.statistics_from_logits` of any model and batch.
"""

import importlib
import pkgutil

from relearn.objectives.base import (
    OBJECTIVES,
    BatchRows,
    Objective,
    Term,
    TokenStatistics,
    objective,
)
from relearn.objectives.from_logits import statistics_from_logits
from relearn.objectives.regularizers import retain_loss

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

# A module and its objective have one name; as an attribute of this package it is the objective.
globals().update(OBJECTIVES)

__all__ = [
    "OBJECTIVES", "BatchRows", "Objective", "Term", "TokenStatistics", "objective", "retain_loss",
    "statistics_from_logits",
]  # fmt: skip
