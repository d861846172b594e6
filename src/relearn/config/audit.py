"""Settings of the audit."""

from typing import Any, Literal

from relearn.config.section import Section

Budget = Literal["quick", "standard", "thorough"]
"""How hard an audit tries."""


class AuditConfig(Section):
    """How the models are attacked after the evaluation; see docs/audit.md.

    Attributes:
        budget: How hard to try: `quick`, `standard` or `thorough`.
        attacks: Only these attacks (`relearn list attacks`); empty means all those of the budget.
        baselines: Attack the baselines too, not only the unlearned model and the controls.
        options: By attack, knobs in the place of the budget's: `{sampling: {samples: 50}}`.
    """

    budget: Budget = "quick"
    attacks: list[str] = []
    baselines: bool = False
    options: dict[str, dict[str, Any]] = {}
