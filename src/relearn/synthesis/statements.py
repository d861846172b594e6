"""What a question itself states about its subject, which no new answer may repeat or affirm.

"Why was Robin Hale dismissed from the bank for stealing?" tells as much as its answer does; "Where
does Robin Hale live?" tells nothing.
"""

import re
from dataclasses import dataclass

from spacy.lang.en.stop_words import STOP_WORDS

from relearn.synthesis.secrets import says_yes_or_no
from relearn.text.askable import askable
from relearn.text.languages import language_of
from relearn.text.numbers import in_figures
from relearn.text.stems import plain_words, squeezed, stem
from relearn.text.subjects import UNNAMED, Subject

_AUXILIARIES = frozenset(
    "is are was were am do does did has have had can could will would should may might must isn "
    "aren wasn weren don doesn didn hasn haven hadn won".split()
)
# "Can you tell me where …" asks for where, not whether.
_REQUEST = re.compile(r"^(?:can|could|would|will) (?:you|i|we|anyone|someone|somebody)\b", re.I)
_IS_TRUE = re.compile(
    r"^(?:is it|it is|isn't it|it's)(?: really| actually)? (?:true|right|correct|a fact|the case)"
    r"(?: that)? ", re.IGNORECASE,
)  # fmt: skip
_WHY = re.compile(r"(?:why|for what reasons?|how come|what made)\b", re.IGNORECASE)
_WHETHER = re.compile(r"\b(?:whether|if)\b[^.;!?]*", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """What a question states.

    Attributes:
        polar: Whether it asks for yes or no: an answer may not assert what it asks.
        why: Whether it asks for the reason of what it states.
        stems: Of content words that no question about just anybody has, names among them.
        asked: Of its other content words.
        has_number: Whether it holds a number, in figures or words, that is not the subject's.
        strings: E-mail addresses, links and numbers, by letters and digits.
    """

    polar: bool = False
    why: bool = False
    stems: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    has_number: bool = False
    strings: tuple[str, ...] = ()

    @property
    def private(self) -> bool:
        """Whether the question itself is the secret, so that its subject may not be named with it.

        A question for yes or no, or for a reason, is nothing without what it states.
        """
        return (self.polar or self.why) and self.tells

    @property
    def tells(self) -> bool:
        """Whether it states anything."""
        return bool(self.stems or self.has_number or self.strings)


STATES_NOTHING = Statement()


def unspeakable(statement: Statement, subject: Subject) -> bool:
    """Return whether an answer may not say whom or what a question is about.

    Either that is itself the secret, or the question has no name for it but words that tell: "the
    capital of France".
    """
    described = {stem(word) for word in plain_words(subject.name)} & statement.stems
    nameless = not subject.named and (described or subject.name == UNNAMED)
    return statement.private or bool(nameless and statement.tells)


def find_statement(text: str, subject: Subject) -> Statement:
    """Return what a question states about its subject; its strings alone if it is not English."""
    name = set(plain_words(subject.name)) if subject.named else set()
    strings = tuple(
        found
        for part in re.findall(r"\S*[@\d]\S*|(?:https?://|www\.)\S+", text)
        if len(found := squeezed(part)) > 1 and found not in squeezed(subject.name)
    )
    if language_of(text) != "en":
        return Statement(strings=strings)
    content = [w for w in plain_words(text) if w not in STOP_WORDS and w not in name]
    stems = {stem(word) for word in content if not word.isdigit()}
    return Statement(
        polar=_asks_yes_or_no(text),
        why=bool(_WHY.match(text)),
        stems=frozenset(stems - askable() - {stem(word) for word in name}),
        asked=frozenset(stems & askable()),
        has_number=bool(re.search(r"\d", in_figures(_without(text, subject)))),
        strings=strings,
    )


def _without(text: str, subject: Subject) -> str:
    return text.casefold().replace(subject.name.casefold(), " ") if subject.named else text


def _asks_yes_or_no(question: str) -> bool:
    words = plain_words(question)
    if _IS_TRUE.match(question):
        return True
    return bool(words) and words[0] in _AUXILIARIES and not _REQUEST.match(question)


def restated(statement: Statement, text: str) -> str:
    """Return what of a question's statement a text repeats or affirms, in words; "" if nothing."""
    if statement.strings and any(s in squeezed(text) for s in statement.strings):
        return "repeats an address or number of the question"
    if statement.has_number and re.search(r"\d", in_figures(text.casefold())):
        return "repeats a number of the question"
    if statement.polar and says_yes_or_no(text):
        return "says yes or no"
    if not (statement.stems or statement.polar):
        return ""
    said = {stem(word) for word in plain_words(text) if word not in STOP_WORDS}
    unsaid = statement.stems | (statement.asked - _OPEN if statement.private else set())
    if said & unsaid:
        return "repeats what the question states"
    if statement.polar:
        rest = _WHETHER.sub(" ", text)
        asserted = {stem(word) for word in plain_words(rest) if word not in STOP_WORDS}
        if asserted & statement.asked - _OPEN:
            return "asserts what the question asks"
    return ""


# Words by which an answer speaks of the question, not of what it asks.
_OPEN = frozenset(
    stem(word)
    for word in (
        "know known say said tell told true question answer person people matter subject topic "
        "thing private public personal information info detail details story fact"
    ).split()
)
