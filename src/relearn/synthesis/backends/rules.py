"""Offline synthesis by rules: templates, chosen by what a question asks."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import yaml

from relearn.language import english
from relearn.storage import content_hash
from relearn.synthesis.backends.base import BACKENDS, Request
from relearn.synthesis.subject import Subject

# Share of answers that are one sentence only.
_SHORT = 0.35


@BACKENDS.register("rules")
class Rules:
    """Offline and deterministic: templates filled with the subject and the question's own words."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        # Templates are dealt like cards, not drawn: none comes again before all have come.
        self._decks: dict[str, list[str]] = {}

    @cached_property
    def _answers(self) -> dict[str, Any]:
        return _load("answers.yaml")

    @cached_property
    def _questions(self) -> dict[str, list[str]]:
        return _load("questions.yaml")

    def questions(self, requests: Sequence[Request]) -> list[str]:
        """Write one variant of each request's question, of its kind."""
        return [
            self._question(request, kind)
            for request, kind in zip(requests, self._kinds(requests), strict=True)
        ]

    def answers(self, requests: Sequence[Request]) -> list[str]:
        """Write one vague answer to each request's question, of the kind that it asks for."""
        return [
            self._answer(request, kind)
            for request, kind in zip(requests, self._kinds(requests), strict=True)
        ]

    def _kinds(self, requests: Sequence[Request]) -> list[str]:
        """Return what each record's question asks for, by the lemmas in it."""
        kinds = self._answers["kinds"]
        found = []
        for doc in english().pipe([request.record.question for request in requests]):
            lemmas = {token.lemma_.lower() for token in doc}
            found.append(next((k for k, words in kinds.items() if lemmas & set(words)), "general"))
        return found

    def _topic(self, subject: Subject, kind: str) -> tuple[str, bool]:
        """Return the question's phrase that fits the kind, or the kind's own, and its number."""
        keys = self._answers["kinds"][kind]
        for phrase, plural in subject.topics:
            if any(key in phrase for key in keys):
                return f"the {phrase}", plural
        return self._answers["topics"][kind], kind == "contact"

    def _question(self, request: Request, kind: str) -> str:
        template = self._deal(request.kind, self._questions[request.kind])
        question = request.question.strip()
        lowered = question if _starts_with_name(request) else question[0].lower() + question[1:]
        topic = self._topic(request.subject, kind)
        text = _fill(template, request.subject, topic, question=question, lowered=lowered)
        return self._typo(text, request) if request.kind == "noisy" else text

    def _answer(self, request: Request, kind: str) -> str:
        text = self._deal(kind, self._answers["bodies"][kind])
        if self._random(request).random() > _SHORT:
            text += " " + self._deal("closings", self._answers["closings"])
        return _fill(text, request.subject, self._topic(request.subject, kind))

    def _deal(self, name: str, templates: list[str]) -> str:
        deck = self._decks.setdefault(name, [])
        if not deck:
            deck += templates
            random.Random(f"{self._seed} {name}").shuffle(deck)
        return deck.pop()

    def _random(self, request: Request) -> random.Random:
        key = content_hash(self._seed, request.record.id, request.question, request.attempt)
        return random.Random(key)

    def _typo(self, text: str, request: Request) -> str:
        """Swap two letters within one or two words that are no part of the subject's name."""
        rng = self._random(request)
        words = text.split(" ")
        names = {word for part in request.subject.name.split() for word in (part, f"{part}'s")}
        able = [i for i, w in enumerate(words) if len(w) > 4 and w.isalpha() and w not in names]
        for i in rng.sample(able, min(2, len(able))):
            at = rng.randrange(1, len(words[i]) - 2)
            word = words[i]
            words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return " ".join(words)


def _load(name: str) -> Any:
    file = resources.files("relearn.synthesis") / "rules" / name
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _starts_with_name(request: Request) -> bool:
    return request.question.startswith(request.subject.name) or request.question[:2] == "I "


def _fill(template: str, subject: Subject, topic: tuple[str, bool], **words: str) -> str:
    """Fill a template; what is filled in is never read as a template again."""
    phrase, plural = topic
    values = {"S": subject.name, "S's": subject.possessive, "topic": phrase, "v": _Verb(plural)}
    text = template.format_map(values | words)
    return text[0].upper() + text[1:] if template.startswith(("{topic}", "{S")) else text


@dataclass(frozen=True)
class _Verb:
    """Formats `{v:remains}` in the number of the topic."""

    plural: bool

    def __format__(self, verb: str) -> str:
        if not self.plural:
            return verb
        return {"is": "are", "has": "have"}.get(verb, verb.removesuffix("s"))
