"""What a candidate must pass before it is trained on."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from nltk.stem.snowball import SnowballStemmer
from spacy.lang.en.stop_words import STOP_WORDS
from spacy.tokens import Doc

from relearn.models.embedded import embedded_folder
from relearn.synthesis.subject import Subject

# Cosine (MiniLM) between a question and an answer that is about it.
RELEVANT_FROM = 0.3
WORDS = range(6, 46)
_LONGEST_QUESTION = 80
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
# Share of words in common from which two texts of one record say the same thing twice.
DUPLICATE_FROM = 0.9
# MiniLM's vocabulary lists words by falling frequency, after 1,996 marks and letters: so
# about a thousand words are common, and "teacher", "Cairo" or "novel" are not.
_COMMON_BEFORE = 3000

_MARKED = re.compile(
    r"(?:https?://|www\.)\S+"  # URL
    r"|[\w.+-]+@[\w-]+\.[\w.-]*\w"  # e-mail
    r"|\+?\d[\d\s()/.-]{5,}\d"  # phone, or a date in digits
)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
).split()
_NUMBERS = (
    {word: n for n, word in enumerate(_UNITS)}
    | {word: n for n, word in enumerate(_ORDINALS)}
    | {word: 10 * n for n, word in enumerate(_TENS, 2)}
    | {"hundred": 100, "thousand": 1000, "million": 10**6}
)
# Stop words that are in most sentences, in titles too.
_EVERYWHERE = frozenset({w for w in STOP_WORDS if len(w) < 3} | {"the", "and", "for", "with"})
# Numbers by their letters, yet rarely meant as such.
_HARDLY_NUMBERS = frozenset({"one", "first", "second", "zero"})


@dataclass(frozen=True)
class Secrets:
    """What of a private answer may not survive, without case, accents and endings.

    Attributes:
        words: Stems of names, of parts of links and addresses, and of rare words.
        numbers: Every number, in figures or in words, and the parts by which it would be spoken.
        phrases: Pairs of neighbouring content words, by stem.
        runs: Two or three words in a row as they stand, content words among them, one of them new.
        strings: URLs, e-mails, phone numbers and dates, by letters and digits.
    """

    words: frozenset[str]
    numbers: frozenset[int]
    phrases: frozenset[tuple[str, str]]
    runs: frozenset[tuple[str, ...]]
    strings: tuple[str, ...]


def find_secrets(answer: Doc, question: str, subject: Subject) -> Secrets:
    """Collect what is private in an answer: what neither its question nor the subject says."""
    asked = _words(question)
    public = {_stem(word) for word in (*asked, *_words(subject.name))}
    names = set(_words(subject.name))
    spoken = {*asked, *names}
    marked = _MARKED.findall(answer.text)
    private = {_stem(word) for word in (*_identifying(answer), *_words(" ".join(marked)))}
    numbers = {part for n in _numbers(answer.text, _HARDLY_NUMBERS) for part in _spoken(n)}
    return Secrets(
        words=frozenset(w for w in private - public if len(w) > 1),
        numbers=frozenset(numbers - set(_numbers(question))),
        phrases=frozenset(
            pair
            for pair in _phrases(answer.text)
            if not set(pair) <= public and not set(pair) & {_stem(name) for name in names}
        ),
        runs=frozenset(
            run
            for run in _runs(answer.text)
            if sum(word not in STOP_WORDS for word in run) > 1
            and any(word not in STOP_WORDS and word not in spoken for word in run)
        ),
        strings=tuple(s for s in map(_squeezed, marked) if s not in _squeezed(question)),
    )


def leaked(secrets: Secrets, text: str, *, runs: bool = True) -> str:
    """Return what of the secrets a text gives away, in words for the record; "" if nothing.

    Without `runs`, a text may have the private answer's form but not its content.
    """
    if any(string in _squeezed(text) for string in secrets.strings):
        return "gives away an address, number or link"
    if secrets.numbers.intersection(_numbers(text)):
        return "gives away a number"
    if not secrets.words.isdisjoint(map(_stem, _words(text))):
        return "gives away a name or telling word"
    if not secrets.phrases.isdisjoint(_phrases(text)):
        return "gives away a phrase"
    if runs and not secrets.runs.isdisjoint(_runs(text)):
        return "gives away a phrase"
    return ""


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {*pairwise(words), *zip(words, words[1:], words[2:], strict=False)}


def telling_parts(text: str) -> set[str | tuple[str, ...]]:
    """Return the stems of a text's content words, and its runs of three words."""
    words = _words(text)
    stems = {_stem(word) for word in words if word not in STOP_WORDS}
    return stems | {run for run in _runs(text) if len(run) == 3}


def malformed(text: str) -> str:
    """Return what is wrong with a text as language; "" if nothing."""
    words = text.split()
    if len(words) not in WORDS:
        return f"has {len(words)} words, not {WORDS.start} to {WORDS.stop - 1}"
    if len(set(words)) < 0.5 * len(words):
        return "repeats itself"
    if re.search(r"[{}<>\[\]|\x00-\x08]", text):
        return "has characters that belong in no sentence"
    if not text[0].isupper() or text[-1] not in ".!":
        return "is no whole sentence"
    return ""


def malformed_question(text: str, original: str) -> str:
    """Return what is wrong with a variant as a question, however informal; "" if nothing."""
    words, longest = text.split(), max(_LONGEST_QUESTION, 2 * len(original.split()))
    if not 2 <= len(words) <= longest:
        return f"has {len(words)} words, not 2 to {longest}"
    if len(set(words)) < 0.4 * len(words):
        return "repeats itself"
    return "has control characters" if _CONTROL.search(text) else ""


def names_subject(text: str, subject: Subject) -> bool:
    """Return whether an answer speaks of its subject."""
    return not subject.named or set(_words(subject.name)) <= set(_words(text))


def near_duplicate(text: str, others: Sequence[str]) -> bool:
    """Return whether a text has nearly the same words as one of the others."""
    words = set(_words(text))
    return any(
        len(words & other) >= DUPLICATE_FROM * len(words | other)
        for other in (set(_words(other)) for other in others)
    )


def _folded(text: str) -> str:
    """Return the text without case and accents."""
    if text.isascii():
        return text.casefold()
    split = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in split if not unicodedata.combining(c))


def _squeezed(text: str) -> str:
    return "".join(filter(str.isalnum, _folded(text)))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", re.sub(r"['\u2019]s?\b", " ", _folded(text)))


@cache
def _stem(word: str) -> str:
    return _STEMMER.stem(word)


_STEMMER = SnowballStemmer("english")


@cache
def _common_words() -> frozenset[str]:
    file = embedded_folder("minilm") / "vocab.txt"
    return frozenset(file.read_text(encoding="utf-8").split("\n")[:_COMMON_BEFORE])


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
            found.update(word for word in _words(token.text) if word not in kept)
    return {word for word in found if not word.isdigit()}


def _phrases(text: str) -> set[tuple[str, str]]:
    content = ["" if w in STOP_WORDS or w.isdigit() else _stem(w) for w in _words(text)]
    return {(a, b) for a, b in pairwise(content) if a and b}


def _numbers(text: str, ignored: Iterable[str] = ()) -> list[int]:
    """Return the numbers of a text: 25 for "25", "25th" and "twenty-five"."""
    found: list[int] = []
    tens = 0
    for word in re.findall(r"[a-z]+|\d+", _folded(text)):
        if word.isdigit():
            found.append(int(word[:18]))
            tens = 0
            continue
        number = None if word in ignored else _NUMBERS.get(word, _NUMBERS.get(word[:-2]))
        if number is not None:
            found += [number, tens + number] if tens and 0 < number < 10 else [number]
        tens = number if number and 20 <= number < 100 else 0
    return found


def _spoken(number: int) -> set[int]:
    """Return a number and the tens by which a year is spoken: 1952, and 52 after "nineteen"."""
    return {number, *({number % 100} if 1000 <= number < 2100 and number % 100 > 20 else set())}
