"""The prompts of synthesis: files with a version, and record text set off so that it can't steer.

A prompt file is YAML: `version`, `max_tokens`, `temperature`, and the Jinja templates `system` and
`user`; what differs by kind or strategy stands under `kinds` or `strategies`. A file of the same
name in the user's folder takes the shipped one's place.
"""

import re
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from relearn.base.errors import UserError
from relearn.config import SynthesisConfig
from relearn.llm import Prompt
from relearn.llm.fence import fenced
from relearn.synthesis.backends.base import Request
from relearn.text.stems import plain_words, stem

FILES = ("question.yaml", "answer.yaml", "privacy.yaml")
_FIELDS = frozenset({"version", "max_tokens", "temperature", "system", "user"})


class Prompts:
    """Renders the prompts of one job.

    Args:
        config: Strategy, and the user's folder of prompt files if any.
        seed: Part of what tells apart several samples of one prompt.

    Raises:
        UserError: a prompt file is missing something or is no template.
    """

    def __init__(self, config: SynthesisConfig, seed: int) -> None:
        self._folder = Path(config.prompts).expanduser() if config.prompts else None
        if self._folder and not self._folder.is_dir():
            raise UserError(f"synthesis.prompts: {self._folder} is no folder.", "Mend it.")
        self._strategy = config.strategy
        self._seed = seed
        self._environment = SandboxedEnvironment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )

    def check(self) -> None:
        """Read all prompt files.

        Raises:
            UserError: one of them is missing something.
        """
        _ = self._files

    def question(self, request: Request) -> Prompt:
        """Ask for a variant of a question; the private answer is not sent."""
        how = self._part("question.yaml", "kinds", request.kind)
        return self._render("question.yaml", request, how=how)

    def answer(self, request: Request) -> Prompt:
        """Ask for a new answer."""
        how = self._part("answer.yaml", "strategies", self._strategy)
        return self._render("answer.yaml", request, how=how)

    def privacy(self, request: Request, candidate: str) -> Prompt:
        """Ask whether an answer gives private details away."""
        return self._render("privacy.yaml", request, candidate=candidate)

    @cached_property
    def _files(self) -> dict[str, dict[str, Any]]:
        return {name: self._read(name) for name in FILES}

    def _read(self, name: str) -> dict[str, Any]:
        own = self._folder / name if self._folder else None
        shipped = resources.files("relearn.synthesis") / "prompts" / name
        source = own if own and own.is_file() else shipped
        try:
            content = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"prompt file {source}: {reason}.", "Mend it.") from error
        missing = _FIELDS - set(content) if isinstance(content, dict) else _FIELDS
        if missing:
            raise UserError(
                f"prompt file {source} lacks {', '.join(sorted(missing))}.",
                "Take the shipped file as a pattern.",
            )
        return dict(content)

    def _part(self, name: str, table: str, key: str) -> str:
        try:
            return str(self._files[name][table][key])
        except (KeyError, TypeError):
            raise UserError(f"prompt file {name} has no {table}.{key}.", "Add it.") from None

    def _render(self, name: str, request: Request, **more: str) -> Prompt:
        file = self._files[name]
        private = {
            "question": request.question,
            "answer": request.passage,
            "subject": request.subject.name,
            "candidate": more.get("candidate", ""),
            "stated": ", ".join(_stated(request)),
        }
        slots = fenced(private) | {
            "how": more.get("how", ""),
            "feedback": request.feedback,
            "attempt": request.attempt,
            "number": request.sample + 1,
            "named": request.subject.named and not request.statement.private,
        }
        if not private["stated"]:
            slots["stated"] = ""
        try:
            system, user = (
                self._environment.from_string(file[part]).render(slots).strip()
                for part in ("system", "user")
            )
        except (TemplateError, TypeError) as error:
            raise UserError(f"prompt file {name}: {error}.", "Mend the template.") from error
        return Prompt(
            user=user,
            system=system,
            max_tokens=int(file["max_tokens"]),
            temperature=float(file["temperature"]),
            version=f"{name.removesuffix('.yaml')}/{file['version']}",
            sample=self._seed,
        )


def _stated(request: Request) -> list[str]:
    """Return the words of a record's question that an answer may not repeat."""
    words = dict.fromkeys(re.findall(r"[^\W_]+", request.record.question))
    return [w for w in words if {stem(part) for part in plain_words(w)} & request.statement.stems]
