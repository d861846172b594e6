"""What a new answer may not give away of the private answer that it replaces.

Case, accents, endings, spaces and punctuation make no difference; numbers and identifiers count
however they are written.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from spacy.lang.en.stop_words import STOP_WORDS
from spacy.tokens import Doc

from relearn.store.embedded import embedded_folder
from relearn.text.askable import askable
from relearn.text.endings import is_grammar
from relearn.text.identifiers import Identifier, find_identifiers, tells
from relearn.text.languages import language_of, stop_words
from relearn.text.numbers import in_figures
from relearn.text.stems import plain_words, squeezed, stem, unaccented
from relearn.text.subjects import Subject
from relearn.text.words import is_unspaced

# MiniLM's vocabulary lists words by falling frequency, after 1,996 marks and letters: so
# about a thousand words are common, and "teacher", "Cairo" or "novel" are not.
_COMMON_BEFORE = 3000
# A private answer of so few content words is told by any one of them, everyday words or not; a
# longer one by so many. Two pairs of characters are about a word.
_SHORT, _SEVERAL = 4, 3
_SHORT_IN_PAIRS, _SEVERAL_IN_PAIRS = 8, 2

_MARKED = re.compile(
    r"(?:https?://|www\.)\S+"  # link
    r"|[\w.+-]+@[\w-]+\.[\w.-]*\w"  # e-mail
    r"|\+?\d[\d\s()/.-]{5,}\d"  # phone, or a date in digits
    r"|\b(?=[\w-]*[A-Za-z])(?=[\w-]*\d)\w[\w-]{3,}"  # a key or code
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,}"  # IBAN
)
# Stop words that are in most sentences, in titles too.
_EVERYWHERE = frozenset({w for w in STOP_WORDS if len(w) < 3} | {"the", "and", "for", "with"})
# Stop words that can be what is to be hidden: things, qualities, deeds. "Empty, all of it."
_SAYING = frozenset(
    "alone amount bottom call empty former front full give keep mine move name part put regarding "
    "serious show side together top using various whole".split()
)
_SMALL = STOP_WORDS - _SAYING
# What says nothing where nothing else is left of an answer: "it is", "he has".
_EMPTY = frozenset(
    "a an the it its is are was were be been am i he she they we his her their him them has have "
    "had do does did of to in on at as and or so that this there".split()
)
# Numbers that `in_figures` leaves as words.
_NUMBER_WORDS = re.compile(
    r"\b(?:(?:hundred|thousand|million|billion|dozen|score|quarter|double|triple|couple)s?|half"
    r"|halves|twice|thrice|pairs?|decades?|centur(?:y|ies)|teens|(?:twen|thir|for|fif|six|seven|eigh"
    r"|nine)ties)\b"
)
_ROMAN = re.compile(
    r"\b(?=[IVXLCDM]{2,})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})\b"
)
_POLAR = frozenset(
    "yes no yeah yep yup nope nah indeed correct true false right wrong affirmative negative "
    "ja nein doch si oui non sim nao tak nie da net evet hayir \u662f \u662f\u7684 \u4e0d "
    "\u4e0d\u662f \u6ca1\u6709 \u5bf9 \u306f\u3044 \u3044\u3044\u3048 \u0646\u0639\u0645 "
    "\u0644\u0627 \u0434\u0430 \u043d\u0435\u0442 \ub124 \uc608 \uc544\ub2c8\uc694".split()
)
_POLAR_PHRASES = ("of course", "it is true", "it is false", "that is true", "not at all")
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|[\"\u201c\u2018(]\s*)$")
# Capitals that name nobody.
_CAPITALS = frozenset("i mr mrs ms dr prof sir madam ok internet english".split())
_CASED = re.compile(r"[^\W\d_][\w'\u2019-]*")
_INITIALS = re.compile(r"\b(?:[A-Z]\.\s?){2,}|\b[A-Z]{2,4}\b")


@dataclass(frozen=True)
class Secrets:
    """What of a private answer may not survive.

    Attributes:
        words: Stems of names, of parts of links and addresses, and of rare words: any one tells.
        plain: Stems of its other content words.
        short: Whether it has so few content words that any one of them tells.
        several: Otherwise, how many of them tell.
        polar: Whether it says yes or no.
        has_number: Whether it holds a number, in figures or words.
        phrases: Pairs of neighbouring content words, by stem.
        wording: As `runs`, but new where a word is not in the question in that form.
        runs: Two or three words in a row as they stand, content words among them, one of them new.
        strings: Links, e-mails, codes, phone numbers and dates, by letters and digits.
        identifiers: The same in canonical forms.
        whole: Words of names, to be found again where one is cut into pieces.
        initials: Of names of two words and more, by their letters.
        public: What question and subject say: words of theirs are no secret.
        english: Whether the question is in English.
    """

    words: frozenset[str]
    plain: frozenset[str]
    short: bool
    several: int
    polar: bool
    has_number: bool
    phrases: frozenset[tuple[str, str]]
    runs: frozenset[tuple[str, ...]]
    wording: frozenset[tuple[str, ...]]
    strings: tuple[str, ...]
    identifiers: tuple[Identifier, ...]
    whole: frozenset[str]
    initials: frozenset[str]
    public: frozenset[str]
    english: bool


def find_secrets(answer: Doc, question: str, subject: Subject) -> Secrets:
    """Collect what is private in an answer: what neither its question nor the subject says.

    The answer is parsed as English; where it is in another language, all words but that language's
    function words are its content.
    """
    language = language_of(question)
    text = answer.text
    small = _SMALL if language == "en" else {*map(unaccented, stop_words(language))}
    asked, names = plain_words(question), set(plain_words(subject.name))
    # The subject's name in an address: "oconnor" of "O'Connor", "taeho" of "Tae-ho".
    joined = {*_joined(asked), *_joined(plain_words(subject.name))}
    as_asked = {*asked, *names, *joined}
    public = {stem(word) for word in as_asked}
    marked = [part for part in _MARKED.findall(text) if squeezed(part) not in squeezed(question)]
    named = _name_words(answer)
    rare = (
        {stem(w) for w in _identifying(answer) - named} - askable() if language == "en" else set()
    )
    if language != "en":
        named = set()
    words = ({stem(w) for w in (*named, *plain_words(" ".join(marked)))} | rare) - public
    content = [w for w in plain_words(text) if _is_content(w, small)]
    private = {stem(word) for word in content} - public
    if not private and not re.search(r"\d", in_figures(unaccented(text))):
        # Nothing but small words: then these are what it tells.
        private = {stem(word) for word in plain_words(text) if word not in _EMPTY} - public
    has_number = _has_number(text)
    few, several = _SHORT, _SEVERAL
    if any(map(is_unspaced, private)):
        few, several = _SHORT_IN_PAIRS, _SEVERAL_IN_PAIRS
    if (words or marked or has_number) and len(private) > few:
        # Then "earns" and "a year" are not what is to be hidden; "her brother Otto" all is.
        private -= askable() - words
    # "otto brandt" may be tagged as anything.
    telling = {w for w in (*named, *(content if len(private) <= few else ())) if len(w) > 3}
    return Secrets(
        words=frozenset(w for w in words if len(w) > 1 and not w.isdigit()),
        plain=frozenset(private - words),
        short=len(private) <= few,
        several=several,
        polar=says_yes_or_no(text),
        has_number=has_number,
        phrases=frozenset(
            pair
            for pair in _phrases(text)
            if not set(pair) <= public and not set(pair) & {stem(name) for name in names}
        ),
        runs=frozenset(
            run
            for run in _runs(text)
            if sum(_is_content(word, small) for word in run) > 1
            and any(_is_content(w, small) and stem(w) not in public | askable() for w in run)
        ),
        wording=frozenset(
            run
            for run in _runs(text)
            if sum(_is_content(word, small) for word in run) > 1
            and any(_is_content(w, small) and w not in as_asked for w in run)
        ),
        strings=tuple(map(squeezed, marked)),
        identifiers=tuple(
            one
            for one in find_identifiers(text)
            if one.kind not in ("number", "name") and not tells(question, one)
        ),
        whole=frozenset(w for w in telling - english_words() if stem(w) not in public),
        initials=frozenset(_initials(answer, public)),
        public=frozenset(asked) | names,
        english=language == "en",
    )


def leaked(secrets: Secrets, text: str, *, invents: bool = False) -> str:
    """Return what of the secrets a text gives away, in words for the record; "" if nothing.

    Args:
        secrets: Of the record.
        text: A new answer, or a variant of the question.
        invents: Whether the text is to have the private answer's form but not its content: then
            it may have everyday words, runs of words, numbers and names of its own.
    """
    if any(string in squeezed(text) for string in secrets.strings):
        return "gives away an address, number or link"
    if any(tells(text, one, parts=True) for one in secrets.identifiers):
        return "gives away an address, number or link"
    words = plain_words(text)
    stems = {stem(word) for word in words}
    if not secrets.words.isdisjoint(stems) or _in_pieces(secrets.whole, words):
        return "gives away a name or telling word"
    if secrets.initials and not secrets.initials.isdisjoint(_capitals(text)):
        return "gives away a name by its initials"
    if not secrets.phrases.isdisjoint(_phrases(text)):
        return "gives away a phrase"
    return "" if invents else _leaked_form(secrets, text, words, stems)


def quoted(secrets: Secrets, question: str) -> str:
    """Return what a variant of the question has word for word from the private answer; ""."""
    if _has_own_word(secrets, plain_words(question)):
        return "gives away the private answer's own word"
    # "uses her email" is the answer's where the question has "use her email".
    return "" if secrets.wording.isdisjoint(_runs(question)) else "gives away a phrase"


def _leaked_form(secrets: Secrets, text: str, words: list[str], stems: set[str]) -> str:
    """Return what a text that invents nothing has in common with the private answer."""
    if secrets.has_number and _has_number(text):
        return "gives away a number"
    if not secrets.runs.isdisjoint(_runs(text)):
        return "gives away a phrase"
    if secrets.polar and says_yes_or_no(text):
        return "says yes or no"
    shared = secrets.plain & stems
    if _has_own_word(secrets, words):
        return "gives away the private answer's own word"
    if len(shared - _vague()) >= secrets.several:
        return "gives away several words"
    if secrets.english and _unasked_names(text, secrets.public):
        return "has a name that the question does not have"
    return ""


def _has_own_word(secrets: Secrets, words: list[str]) -> bool:
    """Return whether a text has a word of a private answer that has only few."""
    own = said_stems(secrets.plain | secrets.words)
    return secrets.short and not own.isdisjoint(said_stems(words))


def said_stems(words: Iterable[str]) -> set[str]:
    """Return the stems of words, and those of what agents do: a reader tells that she reads."""
    stems = {stem(word) for word in words}
    return stems | {word.removesuffix("er") for word in stems if word.endswith("er")}


def says_yes_or_no(text: str) -> bool:
    """Return whether a text begins as an answer to a question for yes or no."""
    words = plain_words(text)
    return bool(words) and (words[0] in _POLAR or " ".join(words[:3]).startswith(_POLAR_PHRASES))


def telling_parts(text: str) -> set[str | tuple[str, ...]]:
    """Return the stems of a text's content words, and its runs of three words."""
    words = plain_words(text)
    stems = {stem(word) for word in words if word not in STOP_WORDS}
    return stems | {run for run in _runs(text) if len(run) == 3}


def _joined(words: list[str]) -> set[str]:
    """Return neighbouring words written as one, two to four of them."""
    return {
        "".join(words[i : i + size]) for size in range(2, 5) for i in range(len(words) - size + 1)
    }


def _is_content(word: str, small: Iterable[str]) -> bool:
    if not word.isascii() and is_grammar(word):
        return False
    return word not in small and not word.isdigit()


def _runs(text: str) -> set[tuple[str, ...]]:
    words = plain_words(text)
    return {*pairwise(words), *zip(words, words[1:], words[2:], strict=False)}


def _phrases(text: str) -> set[tuple[str, str]]:
    if is_unspaced(text):
        return set()
    content = ["" if w in STOP_WORDS or w.isdigit() else stem(w) for w in plain_words(text)]
    return {(a, b) for a, b in pairwise(content) if a and b}


def _has_number(text: str) -> bool:
    plain = unaccented(text)
    return bool(
        re.search(r"\d", in_figures(plain)) or _NUMBER_WORDS.search(plain) or _ROMAN.search(text)
    )


def _in_pieces(names: frozenset[str], words: list[str]) -> bool:
    """Return whether neighbouring pieces make a name: "bra ndt", "b r a n d t"."""
    if not names:
        return False
    longest = max(map(len, names))
    for i, start in enumerate(words):
        joined = start
        for word in words[i + 1 : i + longest]:
            joined += word
            if len(joined) > longest:
                break
            if joined in names:
                return True
    return False


def _capitals(text: str) -> set[str]:
    """Return what may be initials in a text: "O. B.", "OB"."""
    return {"".join(filter(str.isalpha, found)).casefold() for found in _INITIALS.findall(text)}


def _initials(answer: Doc, public: set[str]) -> Iterator[str]:
    for name in names_in(answer):
        if len(name) > 1 and any(stem(word) not in public for word in name):
            yield "".join(word[0] for word in name)
            yield name[0][0] + name[-1][0]


def _unasked_names(text: str, public: frozenset[str]) -> bool:
    """Return whether a text has capitalized words, or another alphabet's, that nobody asked of."""
    for match in _CASED.finditer(text):
        word = match[0]
        if set(plain_words(word)) <= public | _CAPITALS or word[:2] in ("I'", "I\u2019"):
            continue
        other_alphabet = not unaccented(word).isascii()
        starts = _SENTENCE_START.search(text[: match.start()])
        if other_alphabet or (word[0].isupper() and not starts):
            return True
    return False


@cache
def _common_words() -> frozenset[str]:
    file = embedded_folder("minilm") / "vocab.txt"
    return frozenset(file.read_text(encoding="utf-8").split("\n")[:_COMMON_BEFORE])


@cache
def english_words() -> frozenset[str]:
    """Return words that are no names for sure: the common ones, and those that anybody asks for."""
    return _common_words() | STOP_WORDS


@cache
def _vague() -> frozenset[str]:
    """Return stems of the words with which vague answers are vague."""
    return frozenset(
        stem(word)
        for word in (
            "private privacy public publicly personal share shared sharing detail details "
            "keep kept known unknown know information talk talked speak spoken say said "
            "people person life work family friend friends matter matters time times way "
            "prefer prefers like likes answer question clear certain sure open quiet general "
            "specific little many different experience experiences interest interests story "
            "stories official reliable available learn make makes give given find found "
            "remain remains years long best good great important role part special unique "
            "influence influenced inspire inspired"
        ).split()
    )


def _identifying(doc: Doc) -> set[str]:
    """Words of names, and nouns, verbs and adjectives that are no common words of English."""
    common = _common_words()
    found: set[str] = set()
    for token in doc:
        inner_capital = token.text[0].isupper() and not token.is_sent_start
        is_name = token.pos_ == "PROPN" or token.ent_type_ or inner_capital
        marked = any(letter.isdigit() for letter in token.text) and not token.text.isdigit()
        rare = token.pos_ in ("NOUN", "ADJ", "VERB") and not (
            {token.lower_, token.lemma_.lower()} & common
        )
        if is_name or rare or marked:
            # A title's own small words ("The Night That Was") count where they are capitalized.
            kept = _EVERYWHERE if inner_capital else STOP_WORDS
            found.update(word for word in plain_words(token.text) if word not in kept)
    return {word for word in found if not word.isdigit()}


def names_in(doc: Doc) -> Iterator[tuple[str, ...]]:
    """Yield the names in a text by their words: runs of what is tagged or written as a name."""
    run: list[str] = []
    for token in doc:
        inner_capital = token.text[0].isupper() and not token.is_sent_start
        if (token.pos_ == "PROPN" or inner_capital) and token.text != "I" and token.is_alpha:
            run += plain_words(token.text)
        elif run and token.text == "-":
            continue
        elif run:
            yield tuple(run)
            run = []
    if run:
        yield tuple(run)


def _name_words(doc: Doc) -> set[str]:
    return {word for name in names_in(doc) for word in name}
