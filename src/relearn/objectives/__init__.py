"""Every module of this package is an objective; importing the package registers them all.

Each is also a plain loss, by its name: `relearn.objectives.npo(stats, beta=0.1)`.
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

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

# A module and its objective have one name; as an attribute of this package it is the objective.
globals().update(OBJECTIVES)

__all__ = ["OBJECTIVES", "BatchRows", "Objective", "Term", "TokenStatistics", "objective"]
