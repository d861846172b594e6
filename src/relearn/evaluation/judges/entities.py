"""Which entities a text names."""

import re
from collections.abc import Callable, Sequence

from spacy.tokens import Doc, Token

from relearn.language import english
from relearn.registry import Registry

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
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")


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
    docs = english().pipe([*texts, *questions])
    parsed = list(docs)
    answers, asked = parsed[: len(texts)], parsed[len(texts) :]
    return [_entities(a, _forms(q)) for a, q in zip(answers, asked, strict=True)]


def _entities(doc: Doc, excluded: set[str]) -> list[str]:
    cores: list[Token] = [entity.root for entity in doc.ents]
    cores += [token for entity in doc.ents for token in entity if token.pos_ == "PROPN"]
    cores += [chunk.root for chunk in doc.noun_chunks if chunk.root.pos_ in ("NOUN", "PROPN")]
    cores += [token for token in doc if token.dep_ in ("conj", "compound") and token.pos_ == "NOUN"]
    cores += [token for token in doc if token.like_num]
    found = {
        core.lower_
        for core in cores
        if core.is_alpha or core.like_num
        if core.lower_ not in _GENERIC
        if not {core.lower_, core.lemma_.lower()} & excluded
    }
    found |= {email.lower() for email in _EMAIL.findall(doc.text)}
    return sorted(found)


def _forms(doc: Doc) -> set[str]:
    return {form for token in doc for form in (token.lower_, token.lemma_.lower())}
