"""Every module of this package defines metrics; importing the package registers them all."""

import importlib
import pkgutil

from relearn.evaluation.metrics.base import (
    METRICS,
    RECALLED,
    JointMetric,
    Metric,
    combined_metric,
    joint_metric,
    metric,
)
from relearn.evaluation.rows import EvaluatedRow

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "METRICS", "RECALLED", "EvaluatedRow", "JointMetric", "Metric", "combined_metric",
    "joint_metric", "metric",
]  # fmt: skip
