"""Prompt files: YAML with `version`, `max_tokens`, `temperature` and templates `system` and `user`.

The templates are Jinja's. Texts that somebody else wrote are set off by `relearn.llm.fence` before
they are put in.
"""

from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from relearn.base.errors import UserError
from relearn.base.yaml_files import read_yaml
from relearn.llm.base import Prompt

_FIELDS = frozenset({"version", "max_tokens", "temperature", "system", "user"})
_environment = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


class PromptFile:
    """One prompt file.

    Args:
        source: The file, shipped or the user's.

    Attributes:
        content: All that is in it, more than the fields above where a caller needs more.

    Raises:
        UserError: it can't be read, or is missing something.
    """

    def __init__(self, source: Traversable) -> None:
        self._name = source.name
        content = read_yaml(source, f"prompt file {source}", "Fix the file.")
        missing = _FIELDS - set(content) if isinstance(content, dict) else _FIELDS
        if missing:
            raise UserError(
                f"prompt file {source} lacks {', '.join(sorted(missing))}.",
                "Take the shipped file as a pattern.",
            )
        self.content: dict[str, Any] = content

    def render(self, slots: Mapping[str, Any], sample: int) -> Prompt:
        """Return the prompt.

        Args:
            slots: What the templates name.
            sample: Which of several answers to the same prompt is wanted.

        Raises:
            UserError: a template is wrong, or names something that is not in `slots`.
        """
        try:
            system, user = (
                _environment.from_string(self.content[part]).render(slots).strip()
                for part in ("system", "user")
            )
        except (TemplateError, TypeError) as error:
            raise UserError(f"prompt file {self._name}: {error}.", "Fix the template.") from error
        return Prompt(
            user=user,
            system=system,
            max_tokens=int(self.content["max_tokens"]),
            temperature=float(self.content["temperature"]),
            version=f"{self._name.removesuffix('.yaml')}/{self.content['version']}",
            sample=sample,
        )
