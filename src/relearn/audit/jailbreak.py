"""Attacks by instructions: role play, overridden rules, many examples of compliance."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter

from relearn.audit.base import AttackPrompt, attack
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel
from relearn.base.errors import UserError
from relearn.base.yaml_files import read_yaml, validated
from relearn.config.section import Section


class Jailbreak(Section):
    """A way to talk a model out of what it learned.

    Attributes:
        prompt: Holds `{question}`.
        system: In the place of the model's own system message, if any.
    """

    prompt: str
    system: str | None = None


_Jailbreaks = TypeAdapter(dict[str, Jailbreak])


def jailbreaks(file: Any) -> Mapping[str, Jailbreak]:
    """Return the jailbreaks of a YAML file by name; what has been read stays as it is.

    Raises:
        UserError: it can't be read, or has something else in it; names the place.
    """
    if isinstance(file, Mapping):
        return file
    if not isinstance(file, str):
        raise ValueError("is neither a YAML file nor jailbreaks by name")
    hint = "Give a YAML file: by name, each jailbreak's `prompt` and perhaps a `system`."
    found = validated(read_yaml(Path(file), file, hint), _Jailbreaks, file, hint)
    for name, each in found.items():
        if "{question}" not in each.prompt:
            raise UserError(f"{file}, {name}.prompt: it has no {{question}}.", "Add it.")
    return found


@attack("jailbreak", quick={"names": ("aim", "override"), "own": {}},
        standard={"names": None, "own": {}}, thorough={"names": None, "own": {}})  # fmt: skip
def jailbreak(
    model: AttackedModel,
    facts: Sequence[Fact],
    *,
    names: Sequence[str] | None,
    own: Annotated[Mapping[str, Jailbreak], BeforeValidator(jailbreaks)],
) -> list[AttackPrompt]:
    """Talk the model out of what it learned: AIM, role play, override, many-shot, filler.

    The prompts are in `jailbreaks.yaml`; those of `own`, a file like it, are asked too.

    Source: arXiv 2502.11190 (robustness to AIM)
    """
    shipped = jailbreaks(str(files("relearn.audit") / "jailbreaks.yaml"))
    chosen = {n: how for n, how in shipped.items() if names is None or n in names}
    return [
        AttackPrompt(fact, name, text, model.encode(text, system=how.system))
        for name, how in {**chosen, **own}.items()
        for fact in facts
        for text in [how.prompt.replace("{question}", fact.record.question)]
    ]
