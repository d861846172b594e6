"""Extensions: Python files of the user's own, whose decorators register what they define.

An extension runs as part of relearn, with everything the user may do. So only a file that the user
names on the command line, or in the configuration given to a command, is ever loaded: never one
that a run folder, a data set or a model names.
"""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from relearn.base.errors import UserError


def load_extensions(files: Sequence[str]) -> None:
    """Run each Python file once; what it registers is then known by name.

    Raises:
        UserError: a file does not exist, is not Python, or fails; the message says where.
    """
    for given in files:
        file = Path(given).expanduser().resolve()
        name = f"relearn_extension_{file.stem}"
        known = sys.modules.get(name)
        if known is not None and known.__file__ == str(file):
            continue
        if known is not None:
            raise UserError(f"two extensions are called {file.name}.", "Rename one of them.")
        if not file.is_file() or file.suffix != ".py":
            raise UserError(f"extension {given} is not a Python file.", "Name a .py file.")
        _load(file, name)


def _load(file: Path, name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a module up by its name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        line = _line(error, file)
        where = f"{file}:{line}" if line else str(file)
        reason = " ".join(str(error).split())
        raise UserError(
            f"extension {where}: {type(error).__name__}: {reason}.",
            "Fix the file (docs/extend.md).",
        ) from error


def _line(error: Exception, file: Path) -> int | None:
    """Return the line of `file` at which an error came up; None where it was elsewhere."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno
    line, trace = None, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
