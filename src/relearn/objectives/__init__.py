"""Every module of this package is an objective; importing the package registers them all."""

import importlib
import pkgutil

from relearn.objectives.base import OBJECTIVES, BatchRows, Objective, Term, TokenStatistics

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["OBJECTIVES", "BatchRows", "Objective", "Term", "TokenStatistics"]
