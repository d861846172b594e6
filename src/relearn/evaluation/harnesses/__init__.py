"""relearn's suites as tasks of other programs: lm-evaluation-harness and Inspect."""

from importlib.resources import files
from pathlib import Path

_HERE = Path(str(files(__name__)))
LM_EVAL_TASKS = _HERE / "lm_eval_tasks"
"""Folder for `lm_eval --include_path`."""
INSPECT_TASKS = _HERE / "inspect_tasks.py"
"""File for `inspect eval`."""
