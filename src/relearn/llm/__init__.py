"""Text from language models, for synthesis and for judges: one interface, chosen by name.

Every module of this package that holds a backend registers it; importing the package imports all.
"""

import importlib
import pkgutil

from relearn.llm.base import (
    LLMS,
    Completion,
    Estimate,
    LanguageModel,
    Prompt,
    ask,
    estimate,
    make_llm,
)
from relearn.llm.journal import Journal

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "LLMS",
    "Completion",
    "Estimate",
    "Journal",
    "LanguageModel",
    "Prompt",
    "ask",
    "estimate",
    "make_llm",
]
