"""Every module of this package is a backend; importing the package registers them all."""

import importlib
import pkgutil

from relearn.synthesis.backends.base import BACKENDS, Backend, Failure, Request

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["BACKENDS", "Backend", "Failure", "Request"]
