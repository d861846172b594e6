"""Whom or what a question is about."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from spacy.lang.en.stop_words import STOP_WORDS
from spacy.tokens import Doc

from relearn.text.askable import askable
from relearn.text.english import english
from relearn.text.languages import language_of
from relearn.text.stems import stem
from relearn.text.uncased import AUXILIARIES, PARTICLES, POSSESSIVE, KnownNames, with_likeliest_name

# Capitalized in a question, but rarely what a forget set is about.
_PLACES_AND_TIMES = frozenset({"GPE", "LOC", "FAC", "DATE", "TIME", "NORP", "LANGUAGE", "CARDINAL"})
# A title in quotation marks, straight or curly.
QUOTED = re.compile(r"(?<!\w)[\"'\u201c\u2018](?=\w).+?[\"'\u201d\u2019](?!\w)")
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_BORN = r"\bborn (?:in|at|on)\b"
_STREETS = (
    "street st road rd avenue ave lane ln drive dr boulevard blvd court ct square sq place way row "
    "terrace close crescent hill gardens"
).split()
# What is written in capitals behind a name without being a part of it: "Is Li Wei HIV positive?"
_ACRONYMS = frozenset(
    "HIV AIDS ADHD ADD PTSD OCD STD STI HPV TB MS ALS COPD COVID BRCA DNA IVF IQ ID SSN NHS IBAN "
    "PIN VAT CEO CFO CTO COO PHD MBA".split()
)
# Stands for a subject that the question does not name.
UNNAMED = "the subject of this question"
_GERMAN_ARTICLES = frozenset(
    "der die das dem den des ein eine einer eines einem einen kein keine sein seine seiner seinem "
    "ihr ihre ihrer ihrem welche welcher welches welchen welchem".split()
)
_PRONOUNS: dict[str, Literal["he", "she"]] = {
    "he": "he", "his": "he", "him": "he", "she": "she", "her": "she", "hers": "she",
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What a vague answer keeps.

    Attributes:
        name: The name in the question; else the question's own description, such as "the author".
        named: Whether `name` is a name.
        pronoun: The question's own, else "they": to choose one would give something away.
    """

    name: str
    named: bool = True
    pronoun: Literal["he", "she", "they"] = "they"

    @property
    def possessive(self) -> str:
        """The name with its possessive ending."""
        return f"{self.name}'s"


@dataclass(frozen=True, slots=True)
class _Question:
    """What is kept of a parsed question, which is a hundred times as large.

    Attributes:
        text: Itself.
        names: Whom or what it may be about, each with its entity label.
        description: The noun that it describes instead; "" for none.
        pronoun: The first of its pronouns.
        uncased: Whether its names are a guess, because case tells nothing in it.
    """

    text: str
    names: list[tuple[str, str]]
    description: str
    pronoun: Literal["he", "she", "they"]
    uncased: bool


def _read(question: Doc) -> _Question:
    text, language = question.text, language_of(question.text)
    names = _names(question) if language == "en" else _foreign_names(text, language)
    own = [_PRONOUNS[token.lower_] for token in question if token.lower_ in _PRONOUNS]
    uncased = language == "en" and _case_tells_nothing(text)
    return _Question(text, list(names), _description(question), own[0] if own else "they", uncased)


def find_subjects(questions: Iterable[Doc], known: Sequence[str | None]) -> list[Subject]:
    """Find the subject of every parsed question whose subject is not known.

    Where a question holds several names, it is the one that most questions of the set hold. Where
    case tells nothing in a question, a name that the set has elsewhere is its name.

    Args:
        questions: Of one set; each is read once.
        known: Each question's subject, None where it is to be found.
    """
    read = _with_known_names([_read(question) for question in questions], known)
    counts = Counter(name for question in read for name, _ in question.names)
    votes = Counter(vote for question in read for vote in question.names)

    def rank(name: str) -> tuple[int, bool, int]:
        place = sum(votes[name, label] for label in _PLACES_AND_TIMES)
        return counts[name], 2 * place <= counts[name], len(name)

    subjects = []
    for given, question in zip(known, read, strict=True):
        best = max((name for name, _ in question.names), key=rank, default="")
        # A birthplace may be named more often than any person.
        birthplace = re.search(rf"{_BORN}(?: [\w'-]+,)* {re.escape(best)}", question.text)
        is_name = best and rank(best)[1] and not birthplace
        described = "" if is_name else question.description
        name = given or described or best or UNNAMED
        named = bool(given or not described) and name[:4] != "the "
        subjects.append(Subject(name, named, question.pronoun))
    return subjects


def _with_known_names(
    questions: Sequence[_Question], known: Sequence[str | None]
) -> list[_Question]:
    cased = (
        name
        for one in questions
        if not one.uncased
        for name, label in one.names
        if label not in _PLACES_AND_TIMES
    )
    names = KnownNames([*filter(None, known), *cased])
    found = [names.find(question.text) if question.uncased else [] for question in questions]
    return [
        replace(question, names=[(name, "") for name in known_ones]) if known_ones else question
        for question, known_ones in zip(questions, found, strict=True)
    ]


def with_capitals(question: str, subject: Subject) -> str:
    """Return a question with its subject's name as the subject has it, in capitals."""
    if not subject.named:
        return question
    return re.sub(re.escape(subject.name), subject.name, question, flags=re.IGNORECASE)


def _names(question: Doc) -> Iterator[tuple[str, str]]:
    """Yield each run of capitalized words outside quotation marks, and its entity label.

    Where case tells nothing, it is the likeliest name.
    """
    if _case_tells_nothing(question.text):
        recased = with_likeliest_name(question.text)
        if recased:
            yield from _cased_names(english()(recased))
    else:
        yield from _cased_names(question)


def _cased_names(question: Doc) -> Iterator[tuple[str, str]]:
    # spaCy's own tokens cut a name at its hyphens, and its entities often miss foreign names.
    quoted = [match.span() for match in QUOTED.finditer(question.text)]
    run: list[re.Match[str]] = []
    for match in [*_WORD.finditer(question.text), None]:
        joined = match and run and question.text[run[-1].end() : match.start()] == " "
        closed = not run or POSSESSIVE.search(run[-1][0])
        if run and not (joined and not closed and match and _may_be_name(match[0], bool(run))):
            yield from _named(question, run)
            run = []
        if match and _may_be_name(match[0], bool(run)):
            if match.start() == 0 and question[0].pos_ != "PROPN":
                continue
            if not any(start <= match.start() < end for start, end in quoted):
                run.append(match)


def _has_no_capitals(text: str) -> bool:
    """Return whether case tells nothing: no capital after the first letter, or nothing else."""
    letters = [c for c in re.sub(r"\bI\b", "", text) if c.isalpha()][1:]
    return not any(map(str.isupper, letters)) or not any(map(str.islower, letters))


def _case_tells_nothing(text: str) -> bool:
    """Return whether capitals don't tell names from other words.

    So it is in a title ("Is Lena Fisk Gay?"): each word has one that says something.
    """
    words = [match[0] for match in _WORD.finditer(text)]
    opened = bool(words) and words[0].lower() in AUXILIARIES
    telling = [word for word in words[1:] if word.lower() not in STOP_WORDS | PARTICLES]
    titled = len(telling) > 1 and all(word[0].isupper() for word in telling)
    small = [word for word in words[1:] if word.lower() in AUXILIARIES]
    return _has_no_capitals(text) or (
        titled and (opened or any(word[0].isupper() for word in small))
    )


def _may_be_name(word: str, within: bool) -> bool:
    return word[0].isupper() or (within and word in PARTICLES)


def _named(question: Doc, run: list[re.Match[str]]) -> Iterator[tuple[str, str]]:
    while run[1:] and run[-1][0] in PARTICLES | _ACRONYMS:
        run.pop()
    start, end = run[0].start(), run[-1].end()
    name = POSSESSIVE.sub("", question.text[start:end])
    if len(name) > 1 and not name.isupper():
        # The model takes foreign names for places; a place follows a preposition.
        before = question.text[:start]
        placed = re.search(r"(?:\b(?:in|at|from|near|on|of)|,) $", before)
        born = re.search(_BORN, before)
        if _in_address(before, name, question.text[end:]):
            return
        labels = (e.label_ for e in question.ents if e.start_char < end and start < e.end_char)
        yield name, "GPE" if born else next(labels, "") if placed else ""


def _in_address(before: str, name: str, after: str) -> bool:
    """Return whether a name is a street's or is in an address: 12 Mill Lane, Aldmoor."""
    is_street = name.split()[-1].lower() in _STREETS or bool(re.match(r" \d+\b", after))
    numbered = re.search(r"\b\d+\w?,? $", before)
    behind = re.search(rf"\b(?:{'|'.join(_STREETS)})\b[^?]*, $", before, re.IGNORECASE)
    return bool(is_street or numbered or behind)


def _foreign_names(question: str, language: str) -> Iterator[tuple[str, str]]:
    """Yield the runs of capitalized words of a question in another language than English.

    Its first word is none of them. German writes all nouns with a capital: one that follows an
    article or the like is not a name ("der Beruf von Otto Falk").
    """
    words = list(_WORD.finditer(question))
    run: list[re.Match[str]] = []
    for before, match in [*pairwise(words), (words[-1] if words else None, None)]:
        if (
            match
            and run
            and match[0] in PARTICLES
            and question[run[-1].end() : match.start()] == " "
        ):
            run.append(match)
            continue
        noun = language == "de" and not run and before and before[0].lower() in _GERMAN_ARTICLES
        is_name = match and match[0][0].isupper() and not noun
        if is_name and (not run or question[run[-1].end() : match.start()] == " "):  # type: ignore[union-attr]
            run.append(match)  # type: ignore[arg-type]
            continue
        while run and run[-1][0] in PARTICLES:
            run.pop()
        if run:
            yield (
                _without_german_genitive(run, question)
                if language == "de"
                else (question[run[0].start() : run[-1].end()]),
                "",
            )
        run = [match] if is_name and match else []


def _without_german_genitive(run: Sequence[re.Match[str]], question: str) -> str:
    """Return "Otto Falk" of "Otto Falks Telefonnummer"."""
    if len(run) > 2 and run[-2][0].endswith("s") and run[-2][0] not in PARTICLES:
        return question[run[0].start() : run[-2].end() - 1]
    return question[run[0].start() : run[-1].end()]


def _description(question: Doc) -> str:
    """Return the noun that the question describes, with its article: "the author born in …"."""
    for token in question:
        described = any(child.dep_ in ("acl", "relcl", "prep") for child in token.children)
        if (
            described
            and token.tag_ == "NN"
            and token.is_alpha
            and token.lemma_ != "name"
            and token.dep_ != "nsubj"
            and (stem(token.lower_) in askable() or not _has_no_capitals(question.text))
        ):
            return f"the {token.lower_}"
    nouns = [
        t.lower_
        for t in question
        if t.tag_ == "NN" and t.is_alpha and t.lemma_ not in ("name", "kind")
    ]
    if _has_no_capitals(question.text):  # "the ruiz"
        nouns = [noun for noun in nouns if stem(noun) in askable()]
    return f"the {nouns[-1]}" if nouns else ""
