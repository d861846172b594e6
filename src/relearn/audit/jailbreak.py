"""Attacks by instructions: role play, overridden rules, many examples of compliance."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import yaml

from relearn.audit.base import AttackPrompt, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel


@attack("jailbreak", quick={"names": ("aim", "override")},
        standard={"names": None}, thorough={"names": None})  # fmt: skip
def jailbreak(
    model: AttackedModel, facts: Sequence[Fact], *, names: Sequence[str] | None
) -> list[AttackPrompt]:
    """Talk the model out of what it learned: AIM, role play, override, many-shot, filler.

    The prompts are in `jailbreaks.yaml`.

    Source: arXiv 2502.11190 (robustness to AIM)
    """
    return [
        AttackPrompt(fact, name, text, model.encode(text, system=how.get("system")))
        for name, how in jailbreaks().items()
        if names is None or name in names
        for fact in facts
        for text in [how["prompt"].replace("{question}", fact.record.question)]
    ]


def jailbreaks() -> Mapping[str, Mapping[str, Any]]:
    """Return the shipped jailbreaks by name, each with `prompt` and perhaps `system`."""
    file = files("relearn.audit") / "jailbreaks.yaml"
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))
