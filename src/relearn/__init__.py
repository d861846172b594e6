"""relearn: make a language model forget chosen knowledge by learning new answers, and prove it.

What `relearn` does on the command line, in Python (docs/python.md):

    run = relearn.unlearn("smollm2-135m", "forget.jsonl", "retain.jsonl", output="runs/mine")
    run.report()

Everything is imported when it is first used, so that `import relearn` takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relearn import objectives
    from relearn.audit.command import AuditResult, audit
    from relearn.base.errors import UserError
    from relearn.evaluation.command import EvaluationResult, evaluate
    from relearn.finished_run import FinishedRun, load_run
    from relearn.synthesis.command import synthesize
    from relearn.training.arguments import UnlearningConfig
    from relearn.unlearning import unlearn
    from relearn.unlearning_trainer import UnlearningTrainer

__version__ = "0.1.0"

__all__ = [
    "AuditResult", "EvaluationResult", "FinishedRun", "UnlearningConfig", "UnlearningTrainer",
    "UserError", "audit", "evaluate", "load_run", "objectives", "synthesize", "unlearn",
]  # fmt: skip

_HOME = {
    "AuditResult": "audit.command",
    "EvaluationResult": "evaluation.command",
    "FinishedRun": "finished_run",
    "UnlearningConfig": "training.arguments",
    "UnlearningTrainer": "unlearning_trainer",
    "UserError": "base.errors",
    "evaluate": "evaluation.command",
    "load_run": "finished_run",
    "synthesize": "synthesis.command",
    "unlearn": "unlearning",
}
"""The module of each public name; `audit` and `objectives` are packages of their own name."""


def __getattr__(name: str) -> Any:
    if name in ("audit", "objectives"):
        return importlib.import_module(f"relearn.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'relearn' has no attribute {name!r}")
    return getattr(importlib.import_module(f"relearn.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
