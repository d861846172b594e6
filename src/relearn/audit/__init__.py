"""The audit: attempts to bring forgotten knowledge back, beside models that show what it means.

`relearn.audit(...)` is `relearn.audit.command.audit`: the package can be called, since a package
and a function of relearn can't both have the name.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from relearn.audit import (  # noqa: F401  # importing an attack registers it
    collateral,
    in_context,
    inside,
    jailbreak,
    membership,
    phrasings,
    precision,
    prefix,
    ranking,
    relearning,
    sampling,
    soft_prompt,
)
from relearn.audit.base import ATTACKS as ATTACKS
from relearn.audit.base import BUDGETS as BUDGETS

if TYPE_CHECKING:
    from relearn.audit.command import AuditResult


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> "AuditResult":
        """See `relearn.audit.command.audit`."""
        from relearn.audit.command import audit

        return audit(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
