"""What must not happen: that a model which is to forget answers nothing any more."""

from collections.abc import Sequence

from relearn.audit.base import AttackPrompt, asking, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel


@attack("collateral", about="retain", quick={}, standard={}, thorough={})
def collateral(model: AttackedModel, facts: Sequence[Fact]) -> list[AttackPrompt]:
    """Ask what should stay: unseen retain questions where there are any, else the retain set.

    A model that refuses everything passes every other attack, and fails here.
    """
    return asking(model, facts, "asked")


@attack("question", quick={}, standard={}, thorough={})
def question(model: AttackedModel, facts: Sequence[Fact]) -> list[AttackPrompt]:
    """Ask the question as it is: the figure that every other attack is compared with."""
    return asking(model, facts, "asked")
