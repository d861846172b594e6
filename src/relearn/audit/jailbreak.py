"""Attacks by instructions: role play, overridden rules, many examples of compliance."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import yaml

from relearn.audit.base import Attempt, asked, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel


@attack("jailbreak", quick={"names": ("aim", "override")},
        standard={"names": None}, thorough={"names": None})  # fmt: skip
def jailbreak(
    model: AttackedModel, facts: Sequence[Fact], *, names: Sequence[str] | None
) -> list[Attempt]:
    """Talk the model out of what it learned: AIM, role play, override, many-shot, filler.

    The prompts are in `jailbreaks.yaml`.

    Source: arXiv 2502.11190 (robustness to AIM)
    """
    attempts: list[Attempt] = []
    for name, how in jailbreaks().items():
        if names is not None and name not in names:
            continue
        instructed = model.under(how["system"]) if "system" in how else model
        prompts = [how["prompt"].replace("{question}", fact.record.question) for fact in facts]
        attempts += asked(instructed, facts, name, prompts)
    return attempts


def jailbreaks() -> Mapping[str, Mapping[str, Any]]:
    """Return the shipped jailbreaks by name, each with `prompt` and perhaps `system`."""
    file = files("relearn.audit") / "jailbreaks.yaml"
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))
