"""The prompts of synthesis: files with a version, and record text set off so that it can't steer.

What differs by kind or strategy is under `kinds` or `strategies` of a prompt file. A file of the
same name in the user's folder takes the shipped one's place.
"""

import re
from functools import cached_property
from importlib import resources
from pathlib import Path

from relearn.base.errors import UserError
from relearn.config import SynthesisConfig
from relearn.data.openings import Opening
from relearn.llm import Prompt
from relearn.llm.fence import fenced
from relearn.llm.prompt_files import PromptFile
from relearn.synthesis.backends.base import Request
from relearn.text.stems import plain_words, stem

FILES = ("question.yaml", "answer.yaml", "privacy.yaml")


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
            raise UserError(f"synthesis.prompts: {self._folder} is no folder.", "Name a folder.")
        self._strategy = config.strategy
        self._seed = seed

    def check(self) -> None:
        """Read all prompt files.

        Raises:
            UserError: one of them is missing something.
        """
        _ = self._files

    def question(self, request: Request) -> Prompt:
        """Ask for a variant of a question; the private answer is sent only if it is a passage."""
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
    def _files(self) -> dict[str, PromptFile]:
        return {name: self._read(name) for name in FILES}

    def _read(self, name: str) -> PromptFile:
        own = self._folder / name if self._folder else None
        shipped = resources.files("relearn.synthesis") / "prompts" / name
        return PromptFile(own if own and own.is_file() else shipped)

    def _part(self, name: str, table: str, key: str) -> str:
        try:
            return str(self._files[name].content[table][key])
        except (KeyError, TypeError):
            raise UserError(f"prompt file {name} has no {table}.{key}.", "Add it.") from None

    def _render(self, name: str, request: Request, **more: str) -> Prompt:
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
            "passage": request.of_passage,
            "opening": isinstance(request.question, Opening),
            "named": request.subject.named and not request.statement.private,
        }
        if not private["stated"]:
            slots["stated"] = ""
        return self._files[name].render(slots, self._seed)


def _stated(request: Request) -> list[str]:
    """Return the words of a record's question that an answer may not repeat."""
    words = dict.fromkeys(re.findall(r"[^\W_]+", request.record.question))
    return [w for w in words if {stem(part) for part in plain_words(w)} & request.statement.stems]
