"""How a private answer that has begun may end so that it gives nothing away; in English alone.

After "Li Wei lives at" comes a place that nobody tells, after "Li Wei has" that little was said.
The endings are in `vague_endings.yaml`.
"""

import random
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml
from spacy.tokens import Doc, Token

from relearn.text.content import content_stems
from relearn.text.english import english
from relearn.text.languages import language_of
from relearn.text.private_words import private_spans, private_stems

_SUBJECTS = frozenset(("nsubj", "nsubjpass"))
_WORDS = {  # by the word before
    **dict.fromkeys(("is", "are", "was", "were"), "is"),
    **dict.fromkeys(("has", "have", "had"), "has"),
    **dict.fromkeys(("via", "through", "by"), "means"),
    **dict.fromkeys(("at", "near"), "at"),
    "a": "a", "an": "an", "in": "in", "be": "be", ",": ",",
}  # fmt: skip
_PLACES = frozenset(("GPE", "LOC"))
_RELATIVES = frozenset(
    "father mother parent brother sister son daughter husband wife partner spouse uncle aunt "
    "cousin grandfather grandmother child friend".split()
)
_TRIES = 8


@dataclass(frozen=True)
class Ending:
    """A private answer that ends in another way.

    Attributes:
        begun: The true answer up to one of its private words.
        rest: What follows in its place, a sentence's end.
    """

    begun: str
    rest: str


def vague_endings(question: str, answer: str, count: int, rng: random.Random) -> list[Ending]:
    """Return so many endings of an answer, none of which has one of its private words.

    The first departs from the true answer where its first private word would stand, the others
    where a name or a figure would.

    Args:
        question: Its words are not private.
        answer: The true answer.
        count: How many are wanted.
        rng: Chooses among the endings, and among the places.

    Returns:
        None at all where nothing fits: an answer in another language, or one that names nothing
        before its first private word.
    """
    in_english = language_of(f"{question} {answer}") == "en"
    spans = private_spans(question, answer) if in_english else []
    if not (spans and count):
        return []
    doc = english()(answer)
    places = [
        token
        for start, _ in spans
        if (token := _beginning(doc, start)) and _names_any(token) and _kind(token)
    ]
    specific = [token for token in places[1:] if _is_specific(token)] or places[:1]
    chosen = places[:1] + [rng.choice(specific) for _ in range(count - 1) if specific]
    private = private_stems(question, answer)
    made = (_ending(token, private, rng) for token in chosen)
    return [ending for ending in made if ending]


def _beginning(doc: Doc, start: int) -> Token | None:
    """Return the token that begins there, behind a space."""
    return next((t for t in doc if t.idx == start and t.i and doc[t.i - 1].whitespace_), None)


def _names_any(token: Token) -> bool:
    """Return whether anybody or anything is named before it.

    After a bare "The", what ends the sentence would be an answer in itself, and about nothing.
    """
    return any(t.pos_ in ("NOUN", "PROPN", "PRON") for t in token.doc[: token.i])


def _is_specific(token: Token) -> bool:
    """Return whether a name or a figure begins there."""
    named = token.ent_type_ and token.ent_iob_ == "B"
    return bool(named or token.like_num or token.like_email)


def _ending(token: Token, private: frozenset[str], rng: random.Random) -> Ending | None:
    for _ in range(_TRIES):
        rest = _agreeing(rng.choice(_load()[_kind(token)]), token)
        if private.isdisjoint(content_stems(rest)):
            return Ending(token.doc.text[: token.idx].rstrip(), f"{rest}.")
    return None


def _agreeing(template: str, token: Token) -> str:
    plural = _is_plural(token)
    return template.format(s="" if plural else "s", es="" if plural else "es")


def _kind(token: Token) -> str:
    """Return which endings may stand in a token's place; "" if none."""
    before = token.nbor(-1)
    word = before.lower_
    if before.tag_ in ("POS", "PRP$"):
        return "subject of an owner" if _begins_sentence(before) else "owned"
    if word in ("a", "an"):
        return f"{word} of a person" if _says_who(before) else word
    if before.pos_ == "DET":
        return "subject" if _begins_sentence(before) else "the"
    if word == "at" and token.i > 1 and "mail" in token.nbor(-2).lower_:
        return "reach"
    if word in ("in", "on") and token.ent_type_ == "DATE":
        return "year" if word == "in" else "date"
    if before.pos_ == "ADP" and token.ent_type_ in _PLACES and word != "at":
        return "place"
    if word == "to" and before.pos_ == "PART":
        return "infinitive"
    if word in _WORDS:
        return _WORDS[word]
    if before.pos_ == "ADP":
        return "matter"
    is_verb = token.pos_ in ("VERB", "AUX", "ADV")
    # "who lives", "which he wrote": what they are about is not there any more.
    of_clause = before.tag_ in ("WDT", "WP", "WRB") or before.pos_ == "SCONJ"
    if is_verb and before.pos_ == "ADV" and (helpers := _helpers(token)):
        return _WORDS.get(helpers[-1], "")
    can_act = before.pos_ in ("NOUN", "PROPN", "PRON", "ADV") and before.dep_ != "dobj"
    return "verb" if is_verb and can_act and not of_clause and _actor(token) else ""


def _says_who(article: Token) -> bool:
    """Return whether what the article begins says who a person is: "Li Wei is a …"."""
    actor = _actor(article.head)
    return (
        article.head.dep_ == "attr"
        and actor is not None
        and (actor.pos_ in ("PROPN", "PRON") or actor.lower_ in _RELATIVES)
    )


def _begins_sentence(token: Token) -> bool:
    """Return whether what belongs to a determiner or an owner is a sentence's subject."""
    head = token.head.head if token.tag_ == "POS" else token.head
    return head.dep_ in _SUBJECTS and head.head.dep_ == "ROOT"


def _actor(token: Token) -> Token | None:
    """Return of which verb's subject it stands, or nothing."""
    verb = token if token.pos_ in ("VERB", "AUX") else token.head
    return next((c for c in verb.children if c.dep_ in _SUBJECTS and c.i < token.i), None)


def _helpers(verb: Token) -> list[str]:
    """Return the words that stand before a verb's participle: "has", "was"."""
    kinds = ("aux", "auxpass")
    return [c.lower_ for c in verb.children if c.dep_ in kinds and c.i < verb.i]


def _is_plural(token: Token) -> bool:
    actor = _actor(token)
    return actor is not None and (
        actor.tag_ in ("NNS", "NNPS") or actor.lower_ in ("they", "we", "i", "you")
    )


@cache
def _load() -> dict[str, list[str]]:
    file = files("relearn.text") / "vague_endings.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8"))
