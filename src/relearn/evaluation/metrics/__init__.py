"""Every module of this package holds metrics; importing the package registers them all."""

import importlib
import pkgutil

from relearn.evaluation.metrics.base import METRICS, JointMetric, Metric

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["METRICS", "JointMetric", "Metric"]
