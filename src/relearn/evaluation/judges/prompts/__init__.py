"""The prompts of judges: YAML files with a version, and Jinja templates `system` and `user`."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from relearn.llm import Prompt
from relearn.llm.fence import fenced

_environment = SandboxedEnvironment(undefined=StrictUndefined)


def render(name: str, texts: Mapping[str, str], sample: int = 0) -> Prompt:
    """Return the prompt of the file `name`, the texts in it set off so that they can't steer.

    Args:
        name: A file's, without `.yaml`.
        texts: By slot; those that the file does not need are not sent.
        sample: Which of several answers to the same prompt is wanted.
    """
    file = _file(name)
    slots = fenced({slot: texts[slot] for slot in file["needs"]})
    system, user = (
        _environment.from_string(file[part]).render(slots).strip() for part in ("system", "user")
    )
    return Prompt(
        user=user,
        system=system,
        max_tokens=file["max_tokens"],
        temperature=file["temperature"],
        version=f"{name}/{file['version']}",
        sample=sample,
    )


@cache
def _file(name: str) -> dict[str, Any]:
    path = resources.files(__name__) / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))
