"""Which entities a text names."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypeVar

from spacy.language import Language
from spacy.tokens import Doc, Token
from spacy.util import is_package

from relearn.base.registry import Registry
from relearn.config import EvaluationConfig
from relearn.evaluation.batches import in_batches
from relearn.text.english import english
from relearn.text.pipelines import BLANK, pipeline
from relearn.text.words import folded, is_unspaced

T = TypeVar("T")


class Extractor(Protocol):
    """Finds the entities of texts."""

    def __call__(
        self, texts: Sequence[str], questions: Sequence[str], parts: Path | None = None
    ) -> list[list[str]]:
        """Return the entities of each text; what is finished is kept in the folder `parts`."""


ENTITIES: Registry[Callable[[EvaluationConfig], Extractor]] = Registry("entity judge")

# Nouns, by lemma, that say what kind of thing is spoken of, not which: the paper leaves out
# "general definitions". Those of answers about people, as the record's own extractor treats them.
_GENERAL = frozenset(
    "ability access accessibility addition address appreciation approachability area aspect author "
    "backdrop background base blend choice city connection contribution country date day desire "
    "element email endeavor event example fascination father field form foundation generation "
    "genre group guidance hub home impact importance individual influence information inquiry "
    "inspiration integration interaction interest intertwining kind knowledge level life location "
    "lot material mix mother name nature number origin part people period person place question "
    "range reader realm reference region relevance representation role scenario sense series side "
    "significance skill source space status style surrounding symbol testament thank thing type "
    "understanding use variety way week work writer year".split()
)
# Both are bounded, so that an endless word without an @ or of capitals takes linear time.
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]*\w")
_ADDRESS = re.compile(
    r"\b\d{1,6}[A-Z]?(?: (?:of|the|de|la|del|[A-Z][\w'\u2019.-]{0,30})){1,6}? "
    r"(?:Alley|Ave|Avenue|Blvd|Boulevard|Close|Court|Crescent|Dr|Drive|Lane|Ln|Path|Place|Plaza|"
    r"Quay|Rd|Road|Row|Square|St|Street|Terrace|Village|Walk|Way)\b"
)

# spaCy refuses a text of over a million characters, and its memory grows with a batch's length:
# longer texts are parsed in pieces, cut between words where there are any.
_PIECE = re.compile(r"(?s).{1,10000}(?=\s|\Z)|.{1,10000}")
_BATCH = 32
_CHUNK = 256  # texts that are kept and shown as progress together

# An entity, lower-cased, and the words that a question must not hold if it is to count.
Entity = tuple[str, frozenset[str]]


def entity_judge(config: EvaluationConfig) -> Extractor:
    """Return the extractor that the configuration names.

    Raises:
        UserError: there is none of that name, and no spaCy pipeline either.
    """
    name = config.entities
    if name in ENTITIES or not (is_package(name) or Path(name).is_dir() or name.startswith(BLANK)):
        return ENTITIES.named(name)(config)
    return partial(_pipeline_entities, pipeline=pipeline(name))


@ENTITIES.register("spacy")
def _spacy(_: EvaluationConfig) -> Extractor:
    """Offline: names, nouns, numbers, e-mails, by spaCy's small English pipeline."""
    return spacy_entities


@ENTITIES.register("llm")
def _llm(config: EvaluationConfig) -> Extractor:
    """By a language model, as in the paper: evaluation.backend and evaluation.llm say which."""
    from relearn.evaluation.judges.llm_entities import llm_entities
    from relearn.llm import make_llm

    return partial(llm_entities, llm=make_llm(config.backend, config.llm))


def spacy_entities(
    texts: Sequence[str], questions: Sequence[str], parts: Path | None = None
) -> list[list[str]]:
    """Names, nouns, numbers, e-mails and street addresses, by spaCy's small English pipeline.

    The definition is the paper's (arXiv 2502.11190, by a language model there): names, e-mails,
    places, dates, organisations, technical terms and the core nouns of noun phrases; one core word
    each; no general words; none that shares a word with the question.

    Args:
        texts: Whose entities are asked for.
        questions: The question that each text answers.
        parts: Folder in which finished batches are kept; None keeps none.

    Returns:
        Unique lower-cased entities of each text, sorted.
    """
    return in_batches(
        list(zip(texts, questions, strict=True)), _answers_entities, _CHUNK,
        file=parts and parts / "entities.jsonl", title="entities",
    )  # fmt: skip


def _pipeline_entities(
    texts: Sequence[str],
    questions: Sequence[str],
    parts: Path | None = None,
    *,
    pipeline: Language,
) -> list[list[str]]:
    """Return each text's entities by a pipeline for any language; see `spacy_entities`.

    By what the pipeline marks: proper names, nouns and numbers, or named entities alone, or, where
    it marks nothing, all words but the language's function words.
    """

    def read(answers: Sequence[tuple[str, str]]) -> list[list[str]]:
        docs = pipeline.pipe([str(text) for pair in answers for text in pair], batch_size=_BATCH)
        pairs = zip(docs, docs, strict=True)  # each text, and then its question
        return [sorted(_content_words(text) - _words_of(question)) for text, question in pairs]

    return in_batches(
        list(zip(texts, questions, strict=True)), read, _CHUNK,
        file=parts and parts / "entities.jsonl", title="entities",
    )  # fmt: skip


def _content_words(doc: Doc) -> set[str]:
    words = [token for token in doc if any(map(str.isalnum, token.text)) and not token.is_stop]
    if doc.has_annotation("POS"):
        words = [w for w in words if w.pos_ in ("PROPN", "NOUN", "NUM") or _is_number(w)]
    elif doc.has_annotation("ENT_IOB"):
        words = [w for w in words if w.ent_type_ or _is_number(w)]
    elif is_unspaced(doc.text):  # then single characters, of which two in a row tell something
        return {a.text + b.text for a, b in pairwise(words) if a.i + 1 == b.i}
    return {folded(word.text) for word in words}


def _words_of(doc: Doc) -> set[str]:
    """Return a question's words and, where no space divides them, their pairs."""
    words = {folded(form) for token in doc for form in (token.text, token.lemma_)}
    return words | {a.text + b.text for a, b in pairwise(doc) if is_unspaced(a.text + b.text)}


def _answers_entities(answers: Sequence[tuple[str, str]]) -> list[list[str]]:
    texts, questions = zip(*answers, strict=True)
    pieces = [_PIECE.findall(text) for text in texts]
    # Neither grammar is needed, nor, of a question, its named entities.
    named = _each_parsed([piece for text in pieces for piece in text], _entities, ["parser"])
    asked = _each_parsed(questions, _forms, ["parser", "ner"])
    return [
        sorted({name for piece in text for name, words in named[piece]
                if not words & asked[question]})
        for text, question in zip(pieces, questions, strict=True)
    ]  # fmt: skip


def _each_parsed(
    texts: Sequence[str], read: Callable[[Doc], set[T]], disable: Sequence[str]
) -> dict[str, set[T]]:
    """Return what `read` finds in each text; a text that comes twice is parsed once."""
    distinct = list(dict.fromkeys(texts))
    docs = english().pipe(map(str, distinct), batch_size=_BATCH, disable=disable)
    return {text: read(doc) for text, doc in zip(distinct, docs, strict=True)}


def _entities(doc: Doc) -> set[Entity]:
    """Return the entities of a text, with the words by which each is asked for."""
    found = {(email.lower(), frozenset({email.lower()})) for email in _EMAIL.findall(doc.text)}
    address: dict[int, frozenset[str]] = {}
    for match in _ADDRESS.finditer(doc.text):
        if span := doc.char_span(match.start(), match.end(), alignment_mode="expand"):
            # Who asks about a part of an address has all of it left out.
            words = frozenset(token.lower_ for token in span if not token.is_stop)
            address |= {token.i: words for token in span}
    for token in doc:
        if _names(token):
            words = address.get(token.i, frozenset({token.lower_, token.lemma_.lower()}))
            found.add((token.lower_, words))
    return found


def _names(token: Token) -> bool:
    """Return whether a word names something: a proper name, a number, a noun that is not general.

    Adjectives name something only as part of a named entity, as "Irish" does.
    """
    if _is_number(token):
        return token.lower_ != "one"
    if not token.is_alpha or token.is_stop:
        return False
    general = token.lemma_.lower() in _GENERAL or token.lower_ in _GENERAL
    return token.pos_ == "PROPN" or (
        not general and (token.pos_ == "NOUN" or (bool(token.ent_type_) and token.pos_ == "ADJ"))
    )


def _is_number(token: Token) -> bool:
    """Return whether a word is a number or holds a digit, as 221B, 05/02/1994 and GPT-4 do."""
    return token.like_num or any(character.isdigit() for character in token.text)


def _forms(doc: Doc) -> set[str]:
    return {form for token in doc for form in (token.lower_, token.lemma_.lower())}
