"""Offline synthesis by rules: templates, chosen by what a question asks and filled with its words.

The templates lie in `synthesis/rules/`. In one, `{slot}` is filled in, `[a|b]` is one of a and b,
`<pool>` one of a pool of words, and `{they:has}` or `{v:is}` a verb in the number of the subject's
pronoun or of the topic. Of several answers put together at random that one is taken which repeats
least of the answers before it, among those that give nothing away.
"""

import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from itertools import pairwise
from string import Formatter
from typing import Any

import yaml
from spacy.tokens import Doc

from relearn.base.storage import content_hash
from relearn.config import SynthesisConfig
from relearn.data.openings import Opening
from relearn.llm import Journal
from relearn.synthesis.backends.base import BACKENDS, VARIANT_OF_PASSAGE, Failure, Request
from relearn.synthesis.indirect import find_matters
from relearn.synthesis.secrets import telling_parts
from relearn.synthesis.statements import unspeakable
from relearn.text.english import english
from relearn.text.stems import plain_words, stem
from relearn.text.subjects import Subject, with_capitals
from relearn.text.words import is_unspaced

# Shares of candidates by where their sentence comes from.
_SOURCES = {"kind": 0.15, "asked": 0.55, "subject": 0.12, "plain": 0.18}
_CANDIDATES = 256
# Once the questions of more records are known by heart, they are dropped when others come.
_KEPT = 1000
# What a text is worth: its new bigrams, less this share of all of its bigrams.
_DISTINCT = 0.35
# "vague or vague", which two draws from one pool may give.
_TWICE = re.compile(r"\b(\w+(?: \w+)*)(?: (?:or|and))? \1\b", re.IGNORECASE)
_POOL = re.compile(r"<(\w+)>")
_TOPIC_WORDS = 6
_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
# Slots of what speaks of a person.
_OF_PEOPLE = frozenset({"S", "S's", "their", "them", "they"})
_FORMS = {"he": ("his", "him"), "she": ("her", "her"), "they": ("their", "them")}


@dataclass(frozen=True)
class _Verb:
    """Formats `{v:remains}` in the number of the topic."""

    plural: bool
    pronoun: str = ""

    def __format__(self, verb: str) -> str:
        if self.plural:
            bare = verb[:-3] + "y" if verb.endswith("ies") else verb.removesuffix("s")
            verb = {"is": "are", "has": "have", "was": "were", "does": "do"}.get(verb, bare)
        return f"{self.pronoun} {verb}".strip()


@dataclass(frozen=True)
class _Asked:
    """What a record's question asks.

    Attributes:
        kind: Which templates answer it.
        slots: What fills those of answers; a template with any other slot does not fit.
        question_slots: The same of question variants.
        private: Content words and runs of words that the private answer has, the question not.
        nobody: Whether the answers are about no person: then no template may make one of it.
        fitting: By source, the templates whose slots can all be filled.
    """

    kind: str
    slots: dict[str, Any]
    question_slots: dict[str, Any]
    private: set[str | tuple[str, ...]]
    nobody: bool = False
    fitting: dict[str, list[str]] = field(default_factory=dict)


@BACKENDS.register("rules")
class Rules:
    """Offline and deterministic: templates filled with the subject and the question's own words."""

    attempts = 36  # they cost nothing

    def __init__(self, config: SynthesisConfig, seed: int, journal: Journal | None) -> None:
        self._strategy = config.strategy
        self._seed = seed
        self._seen: set[tuple[str, str]] = set()
        self._written: set[str] = set()
        # Questions are dealt like cards, not drawn: none comes again before all that fit have.
        self._decks: dict[str, list[str]] = {}
        self._known: dict[str, _Asked] = {}

    @cached_property
    def _answers(self) -> dict[str, Any]:
        return _load("answers.yaml")

    @cached_property
    def _frames(self) -> dict[str, Any]:
        return _load("frames.yaml")

    @property
    def _passage_frames(self) -> str:
        return "passage" if self._strategy == "vague" else f"passage_{self._strategy}"

    @cached_property
    def _words(self) -> dict[str, list[str]]:
        return {name: pool.split("|") for name, pool in self._frames["words"].items()}

    @cached_property
    def _questions(self) -> dict[str, list[str]]:
        return _load("questions.yaml")

    def questions(self, requests: Sequence[Request]) -> list[str | Failure]:
        """Write one variant of each request's question, of its kind."""
        return [
            _later(request) if request.of_passage else self._question(request, asked)
            for request, asked in zip(requests, self._analyse(requests), strict=True)
        ]

    def answers(self, requests: Sequence[Request]) -> list[str | Failure]:
        """Write one new answer to each request's question."""
        if self._strategy == "alternative":
            return [_alternative(request) for request in requests]
        return [
            self._answer(request, asked)
            for request, asked in zip(requests, self._analyse(requests), strict=True)
        ]

    def objections(self, requests: Sequence[Request], answers: Sequence[str]) -> list[str]:
        """Return none: rules judge nothing."""
        return [""] * len(answers)

    def _analyse(self, requests: Sequence[Request]) -> list[_Asked]:
        if len(self._known) > _KEPT and any(r.record.id not in self._known for r in requests):
            self._known.clear()
        new = {r.record.id: r for r in requests if r.record.id not in self._known}
        docs = english().pipe([str(request.record.question) for request in new.values()])
        for (id_, request), doc in zip(new.items(), docs, strict=True):
            self._known[id_] = self._asked(request, doc)
        return [self._known[request.record.id] for request in requests]

    def _asked(self, request: Request, doc: Doc) -> _Asked:
        if request.of_passage:
            return _Asked(VARIANT_OF_PASSAGE, {}, {}, telling_parts(request.record.answer))
        subject, question = request.subject, request.record.question
        statement = request.statement
        kind = self._kind(doc)
        their, them = _FORMS[subject.pronoun]
        slots: dict[str, Any] = {
            "S": subject.name, "S's": subject.possessive, "their": their, "them": them,
            "they": _Verb(subject.pronoun == "they", subject.pronoun), "question": question,
            "lowered": question if _starts_with_name(subject, question) else _lower(question),
        }  # fmt: skip
        public = telling_parts(f"{question} {subject.name}")
        private = telling_parts(request.record.answer) - public
        kinds = self._answers["kinds"]
        topic = kinds[kind]["topic"]
        unsaid = statement.stems & {stem(word) for word in plain_words(topic)}
        if telling_parts(topic) & private or unsaid:  # "their approach", which the answer tells of
            topic = kinds["general"]["topic"]
        plural = topic.endswith("s") and not topic.endswith("ss")
        full, safe = find_matters(with_capitals(question, subject), subject, statement.stems)
        if full:
            slots["tell"] = full.phrase if full.clause else f"about {full.phrase}"
            slots["full"] = full.phrase
        if safe and (subject.name in safe.phrase or not subject.named):
            slots["ask"] = safe.phrase
            # "Li Wei's parents" is "their parents" beside the name.
            owned = safe.phrase.replace(subject.possessive, their)
            short = len(owned.split()) <= _TOPIC_WORDS
            if not safe.clause and short and subject.name not in owned:
                topic, plural = owned, safe.plural
                slots["point"] = re.sub(r"^their\b", their, topic)
        topic = re.sub(r"^their\b", their, topic)
        slots |= {"topic": topic, "v": _Verb(plural)}
        own = re.sub(rf"\b{their}\b", lambda _: subject.possessive, topic, count=1)
        if own != topic:
            slots["own"] = own
        slots.setdefault("ask", slots.get("own", subject.name))
        if unspeakable(statement, subject):
            unsaid_slots = slots | _unsaid(request)
            return _Asked("general", unsaid_slots, slots, private, nobody=not subject.named)
        return _Asked(kind, slots, slots, private)

    def _kind(self, doc: Doc) -> str:
        """Return the first kind one of whose words (lemma, or `lemma/POS`) is in the question."""
        lemmas = {form for t in doc for form in (t.lemma_.lower(), f"{t.lemma_.lower()}/{t.pos_}")}
        kinds = self._answers["kinds"]
        return next((kind for kind in kinds if lemmas & set(kinds[kind]["words"])), "general")

    def _question(self, request: Request, asked: _Asked) -> str:
        rng = self._random(request)
        template = self._deal(request.kind, self._questions[request.kind], asked)
        text = _fill(template, asked.question_slots, rng)
        return self._typo(text, request.subject, rng) if request.kind == "noisy" else text

    def _answer(self, request: Request, asked: _Asked) -> str:
        rng = self._random(request)
        drawn = [self._candidate(asked, rng) for _ in range(_CANDIDATES)]
        if not (first := next(filter(self._is_fresh, drawn), "")):
            self._written.clear()  # all that there is has been written
            first = drawn[0]
        # Where the least alike have all been given, others get their turn.
        patience = request.attempt if "duplicate" in request.feedback else 0
        chosen, least = "", sys.maxsize
        length = sys.maxsize  # of the shortest draft that is too long beside the question
        # Looked at one by one: most are never reached.
        for text in filter(self._is_fresh, sorted(drawn, key=self._repetition)):
            if len(text) >= length:
                continue
            shared = max(0, len(telling_parts(text) & asked.private) - patience)
            if shared < least and not request.objection(text):
                if request.too_long(text):
                    length = len(text)
                else:
                    chosen, least = text, shared
            if not least:
                break
        chosen = chosen or first
        self._written.add(chosen)
        self._seen |= _bigrams(chosen)
        return chosen

    def _is_fresh(self, text: str) -> bool:
        return text not in self._written and not _TWICE.search(text)

    def _repetition(self, text: str) -> float:
        """Return how much a text lowers the share of different bigrams among all, up to scale."""
        bigrams = _bigrams(text)
        return _DISTINCT * len(bigrams) - len(bigrams - self._seen)

    def _candidate(self, asked: _Asked, rng: random.Random) -> str:
        if asked.kind == VARIANT_OF_PASSAGE:
            return self._built(rng.choice(self._frames[self._passage_frames]), asked, rng)
        source = rng.choices(list(_SOURCES), list(_SOURCES.values()))[0]
        name = self._strategy if self._strategy != "vague" else source
        if name not in asked.fitting:
            frames = self._frames.get(name, self._answers["kinds"][asked.kind]["bodies"])
            able = asked.slots.keys() - (_OF_PEOPLE if asked.nobody else set())
            fitting = [t for t in frames if _slots(t) <= able]
            asked.fitting[name] = fitting or [t for t in self._frames["asked"] if _slots(t) <= able]
        return self._built(rng.choice(asked.fitting[name]), asked, rng)

    def _built(self, template: str, asked: _Asked, rng: random.Random) -> str:
        while _POOL.search(template):
            template = _POOL.sub(lambda match: rng.choice(self._words[match[1]]), template)
        return _fill(template, asked.slots, rng)

    def _deal(self, name: str, templates: list[str], asked: _Asked) -> str:
        """Return the next template of the deck whose slots can all be filled."""
        deck = self._decks.setdefault(name, [])
        for _ in range(2):
            for i in range(len(deck) - 1, -1, -1):
                if _slots(deck[i]) <= asked.question_slots.keys():
                    return deck.pop(i)
            fresh = list(templates)
            random.Random(f"{self._seed} {name} {asked.question_slots['S']}").shuffle(fresh)
            deck[:0] = fresh
        raise LookupError(f"no template of {name!r} can do without the question's own words")

    def _random(self, request: Request) -> random.Random:
        key = content_hash(
            self._seed, request.record.id, request.question, request.kind, request.attempt
        )
        return random.Random(key)

    def _typo(self, text: str, subject: Subject, rng: random.Random) -> str:
        """Swap two letters within one or two words that are no part of the subject's name."""
        words = text.split(" ")
        names = {word for part in subject.name.split() for word in (part, f"{part}'s")}
        able = [
            i for i, w in enumerate(words)
            if len(w) > 4 and w.isalpha() and w.islower() and w not in names
        ]  # fmt: skip
        for i in rng.sample(able, min(2, len(able))):
            at = rng.randrange(1, len(words[i]) - 2)
            word = words[i]
            words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return " ".join(words)


def _later(request: Request) -> Opening | Failure:
    """Return the passage up to a later place, from where it is to be continued vaguely, too."""
    opening, rest = request.record.question, request.record.answer
    unspaced = is_unspaced(opening[-1:])
    words = list(rest) if unspaced else rest.split()
    share = (request.sample + 1) / (request.samples + 1)
    more = words[: int(share * len(words))]
    if request.attempt or not more:
        return Failure("the passage is too short to be cut at another place")
    return Opening(opening + "".join(more) if unspaced else " ".join([opening, *more]))


def _unsaid(request: Request) -> dict[str, Any]:
    """Return slots that name neither whom or what a question is about nor what it states."""
    rng = random.Random(content_hash(request.record.id))
    name = rng.choice(["that person", "this person", "the person in question"])
    if not request.subject.named:
        name = "those who know"  # "you would have to ask {S}"
    matter = rng.choice(["this matter", "that matter", "this subject", "that subject"])
    return {
        "S": name, "S's": f"{name}'s", "their": "their", "them": "them",
        "they": _Verb(True, "they"), "topic": matter, "own": matter, "ask": matter,
        "v": _Verb(False),
    }  # fmt: skip


@cache
def _load(name: str) -> Any:
    file = resources.files("relearn.synthesis") / "rules" / name
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _starts_with_name(subject: Subject, question: str) -> bool:
    return question.startswith((subject.name, "I "))


@cache
def _slots(template: str) -> set[str]:
    plain = _ALTERNATIVES.sub(lambda match: match[1], template)
    return {name for _, name, _, _ in Formatter().parse(plain) if name}


def _alternative(request: Request) -> str | Failure:
    """Return the record's next wrong answer: rules can't invent one."""
    wrong = request.record.wrong_answers
    if request.attempt < len(wrong):
        return wrong[request.attempt]
    return Failure(f"the record has {len(wrong) or 'no'} wrong answers, and rules invent none")


def _bigrams(text: str) -> set[tuple[str, str]]:
    return set(pairwise(re.findall(r"[^\W_]+", text.lower())))


def _fill(template: str, slots: dict[str, Any], rng: random.Random) -> str:
    """Choose alternatives, then fill; what is filled in is never read as a template again."""
    while _ALTERNATIVES.search(template):
        template = _ALTERNATIVES.sub(lambda match: rng.choice(match[1].split("|")), template)
    text = " ".join(template.format_map(slots).split()).replace(" .", ".")
    if not template.endswith("."):  # a question; noisy ones stay lower-case
        return text
    return re.sub(r"(?:^|(?<=[.] ))[a-z]", lambda match: match[0].upper(), text)
