"""The audit: attempts to bring forgotten knowledge back, beside models that show what it means."""

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
