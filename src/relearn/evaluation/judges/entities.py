"""Which entities a text names."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from spacy.tokens import Doc, Token

from relearn.language import english
from relearn.progress import progress_bar
from relearn.registry import Registry

T = TypeVar("T")
Extractor = Callable[[Sequence[str], Sequence[str]], list[list[str]]]

ENTITIES: Registry[Extractor] = Registry("entity judge")

# Nouns that say what kind of thing is spoken of, not which.
_GENERIC = frozenset(
    "address area aspect aspects author authors background book books career city community "
    "country date detail details elements email event events example experience experiences "
    "father field form genre group impact individual individuals influence information interest "
    "interests kind life lot mother name number part people person place range readers "
    "reference role sense series significance stories story theme themes thing things time "
    "topic type use variety way ways week work works writer writing year years".split()
)
# Bounded, so that an endless word without an @ takes linear time.
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]*\w")

# spaCy refuses a text of over a million characters, and its memory grows with a batch's length:
# longer texts are parsed in pieces, cut between words where there are any.
_PIECE = re.compile(r"(?s).{1,10000}(?=\s|\Z)|.{1,10000}")
_BATCH = 32

Word = tuple[str, str]  # lower-cased form and lemma


@ENTITIES.register("spacy")
def spacy_entities(texts: Sequence[str], questions: Sequence[str]) -> list[list[str]]:
    """Named entities, e-mails, numbers and head nouns, by spaCy's small English pipeline.

    The definition is the paper's (arXiv 2502.11190, by an LLM there): names, e-mails,
    places, dates, organisations, technical terms and the core nouns of noun phrases; one core word
    each; no generic words; none that shares a word with the question.

    Args:
        texts: Whose entities are asked for.
        questions: The question that each text answers.

    Returns:
        Unique lower-cased entities of each text, sorted.
    """
    pieces = [_PIECE.findall(text) for text in texts]
    named = _each_parsed([piece for text in pieces for piece in text], _cores, "entities")
    # A question's words and their lemmas need neither grammar nor named entities.
    asked = _each_parsed(questions, _forms, None, disable=["parser", "ner"])
    return [
        sorted({form for piece in text for form, lemma in named[piece]
                if not {form, lemma} & asked[question]})
        for text, question in zip(pieces, questions, strict=True)
    ]  # fmt: skip


def _each_parsed(
    texts: Sequence[str],
    read: Callable[[Doc], set[T]],
    title: str | None,
    disable: Sequence[str] = (),
) -> dict[str, set[T]]:
    """Return what `read` finds in each text; a text that comes twice is parsed once."""
    distinct = list(dict.fromkeys(texts))
    found: dict[str, set[T]] = {}
    with progress_bar(title) as advance:
        docs = english().pipe(distinct, batch_size=_BATCH, disable=disable)
        for text, doc in zip(distinct, docs, strict=True):
            found[text] = read(doc)
            advance(len(found), len(distinct), "")
    return found


def _cores(doc: Doc) -> set[Word]:
    """Return the core words of a text's entities and noun phrases, and its e-mails."""
    cores: list[Token] = [entity.root for entity in doc.ents]
    cores += [token for entity in doc.ents for token in entity if token.pos_ == "PROPN"]
    cores += [chunk.root for chunk in doc.noun_chunks if chunk.root.pos_ in ("NOUN", "PROPN")]
    cores += [token for token in doc if token.dep_ in ("conj", "compound") and token.pos_ == "NOUN"]
    cores += [token for token in doc if _is_number(token)]
    words = {
        (core.lower_, core.lemma_.lower())
        for core in cores
        if (core.is_alpha or _is_number(core)) and core.lower_ not in _GENERIC
    }
    return words | {(email.lower(), email.lower()) for email in _EMAIL.findall(doc.text)}


def _is_number(token: Token) -> bool:
    """Return whether a word is a number or holds a digit, as 221B, 05/02/1994 and GPT-4 do."""
    return token.like_num or any(character.isdigit() for character in token.text)


def _forms(doc: Doc) -> set[str]:
    return {form for token in doc for form in (token.lower_, token.lemma_.lower())}
