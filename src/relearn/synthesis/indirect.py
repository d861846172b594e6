"""A direct question in its indirect form: "where Li Wei lives", "whether Li Wei has won awards"."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass

from spacy.tokens import Doc, Token

from relearn.text.english import english
from relearn.text.stems import plain_words, stem
from relearn.text.subjects import QUOTED, Subject

_BE = frozenset("is are was were".split())
_OWNERS = frozenset("the their his her".split())
_DO = frozenset("do does did".split())
_AUXILIARIES = (
    _BE | _DO | frozenset("has have had can could will would should may might must".split())
)
_QUESTION_WORDS = frozenset("what which who whom whose where when why how".split())
_ADVERBIAL = frozenset("when where why how".split())
_SUBJECTS = frozenset("nsubj nsubjpass csubj csubjpass expl".split())
_REQUEST = re.compile(
    r"^(?:(?:can|could|would|will) you (?:please )?)?"
    r"(?:tell|share|name|describe|discuss|provide|give|elaborate|explain|mention|list|shed|offer"
    r"|identify|talk|outline|summarize)\b(?: (?:me|us))?(?: light| details| information)?"
    r"(?: (?:about|on|with us))? ",
    re.IGNORECASE,
)
_PARTITIVE = re.compile(
    r"^(?:(?:a|an|any|another|some|the|one|more|brief|additional) )*(?:few |couple |more )?"
    r"(?:(?:insights?|details?|information|examples?|overview|summary|synopsis|account)"
    r" (?:of|into|on|about|regarding) |of )?"
)
# Words that end no phrase; an auxiliary that does was parted from its verb.
_NEVER_LAST = frozenset(
    "the a and or his her their such as do does did has have had can could will would".split()
)
# The parts of a sentence that can be left out.
_OPTIONAL = frozenset(
    "prep appos acl relcl advcl agent npadvmod parataxis compound amod nmod nummod".split()
)
_PAST = {
    "be": "was", "become": "became", "begin": "began", "bring": "brought", "build": "built",
    "buy": "bought", "choose": "chose", "come": "came", "do": "did", "draw": "drew", "drive":
    "drove", "fall": "fell", "feel": "felt", "find": "found", "get": "got", "give": "gave",
    "go": "went", "grow": "grew", "have": "had", "hear": "heard", "hold": "held", "keep": "kept",
    "know": "knew", "lead": "led", "learn": "learned", "leave": "left", "lose": "lost",
    "make": "made", "meet": "met", "pay": "paid", "read": "read", "rise": "rose", "run": "ran",
    "say": "said", "see": "saw", "sell": "sold", "send": "sent", "set": "set", "speak": "spoke",
    "spend": "spent", "stand": "stood", "take": "took", "teach": "taught", "tell": "told",
    "think": "thought", "understand": "understood", "win": "won", "write": "wrote",
}  # fmt: skip


@dataclass(frozen=True)
class Matter:
    """What a question asks, in a form that stands within another sentence.

    Attributes:
        phrase: Follows "about": a clause ("where Li Wei lives") or a noun phrase ("the parents of
            Li Wei").
        clause: Which of the two.
        plural: Whether it takes a verb in the plural.
    """

    phrase: str
    clause: bool
    plural: bool = False


def find_matters(
    question: str, subject: Subject, unsaid: Set[str] = frozenset()
) -> tuple[Matter | None, Matter | None]:
    """Return what a question asks in full, and without any name or number but the subject's.

    The second is what an answer may repeat: a question may itself hold what another record's
    answer is to hide. Either is None where the rules do not understand the question.

    Args:
        question: As it was asked, names with capitals.
        subject: Of the question.
        unsaid: Stems of further words that the second may not have.
    """
    # The parser knows plain names; it is given one in place of the subject's.
    stand_in = next(n for n in ("Maria", "Laura", "Peter") if n not in question)
    text = question.strip().rstrip("?. ")
    if subject.named:
        text = text.replace(subject.name, stand_in)
    text = re.sub(rf"\bauthor {stand_in}", stand_in, text.replace("\u2019s", "'s"))
    request = _REQUEST.match(text)
    doc = english()(text[request.end() :] if request else _without_lead(text))
    full = _matter(list(doc), is_request=bool(request))
    kept = _without_names(doc, stand_in, unsaid)
    safe = full if kept == list(doc) else _matter(kept, is_request=bool(request)) if kept else None
    if safe and unsaid & {stem(word) for word in plain_words(safe.phrase)}:
        safe = None
    return _named(full, stand_in, subject), _named(safe, stand_in, subject)


def _named(matter: Matter | None, stand_in: str, subject: Subject) -> Matter | None:
    if matter is None:
        return None
    phrase = matter.phrase.replace(stand_in, subject.name if subject.named else stand_in)
    return Matter(phrase, matter.clause, matter.plural)


def _without_lead(text: str) -> str:
    """Cut off what stands before a question: "Based on her expertise, does …"."""
    lead, comma, rest = text.partition(", ")
    first = rest.split(" ")[0].lower()
    starts = (_QUESTION_WORDS | _AUXILIARIES) & {w.lower() for w in lead.split()[:2]}
    return rest if comma and first in _QUESTION_WORDS | _AUXILIARIES and not starts else text


def _without_names(doc: Doc, stand_in: str, unsaid: Set[str]) -> list[Token] | None:
    """Return the tokens without the parts that hold names, numbers, titles or words of `unsaid`.

    None means that no sentence is left.
    """
    dropped: set[Token] = set()
    quoted = [match.span() for match in QUOTED.finditer(doc.text)]
    for token in doc:
        in_quotes = any(start <= token.idx < end for start, end in quoted)
        is_name = token.pos_ == "PROPN" or token.text[0].isupper()
        is_name = is_name or (bool(token.ent_type_) and token.like_num)
        marked = any(c.isdigit() or c == "@" for c in token.text) or token.like_email
        if token.text == stand_in or token.i == 0 or token.tag_ in ("POS", "HYPH"):
            continue
        is_unsaid = bool(unsaid & {stem(word) for word in plain_words(token.text)})
        if not (is_name or in_quotes or marked or is_unsaid) or token in dropped:
            continue
        part = token
        while part.dep_ not in _OPTIONAL and part.head != part:
            part = part.head
        if part.head.dep_ in ("acl", "relcl"):
            part = part.head
        if part.dep_ not in _OPTIONAL or any(t.text == stand_in for t in part.subtree):
            return None
        dropped |= set(part.subtree)
    kept = [token for token in doc if token not in dropped]
    if any(t.dep_ == "prep" and dropped & set(t.children) for t in kept):  # "living at"
        return None
    return kept if len(kept) > 2 else None


def _matter(tokens: list[Token], is_request: bool) -> Matter | None:
    if not tokens:
        return None
    if is_request and tokens[0].lower_ not in _QUESTION_WORDS | {"if", "whether"}:
        return _noun_phrase(tokens)
    if is_request:
        return _checked(Matter(_text(tokens), clause=True))
    first = next((i for i, t in enumerate(tokens) if t.lower_ in _QUESTION_WORDS), None)
    at = next((i for i, t in enumerate(tokens) if t.lower_ in _AUXILIARIES), None)
    if at == 0:
        return _inverted([], tokens, 0)
    if first is None or first > 2:
        return None
    verbs = [i for i, t in enumerate(tokens) if t.tag_ in ("VBZ", "VBD", "VBP") and i > first]
    if at is None or (verbs and verbs[0] < at):
        return _checked(Matter(_text(tokens), clause=True)) if verbs else None
    asked = tokens[:at]
    if tokens[first].lower_ in ("what", "who") and len(asked) == 1 and tokens[at].lower_ in _BE:
        rest = tokens[at + 1 :]
        owned = any(t.tag_ == "POS" or t.lower_ == "of" for t in rest)
        verb = any(t.tag_ in ("VBN", "VBG") and t.head == t for t in rest)
        if len(rest) > 1 and rest[-1].lower_ == "like":  # "what is Maria like"
            head = [*asked, *rest[:-1]]
            return _checked(Matter(_text([*head, (tokens[at].lower_, " "), rest[-1]]), clause=True))
        if rest and not verb and (tokens[first].lower_ == "what" or owned):
            return _noun_phrase(rest, plural=tokens[at].lower_ in ("are", "were"))
        if not verb and len(rest) > 1 and rest[0].pos_ == "PROPN" and rest[1].tag_ in ("VBN", "JJ"):
            # "who is Maria married to", where the parser takes "married" for Maria's attribute
            moved: list[Token | str | tuple[str, str]] = [
                *asked,
                rest[0],
                (tokens[at].lower_, " "),
                *rest[1:],
            ]
            return _checked(Matter(_text(moved), clause=True))
        if not verb:
            return _checked(Matter(_text([*asked, *rest, tokens[at]]), clause=True))
    return _inverted(asked, tokens, at)


def _noun_phrase(tokens: list[Token], plural: bool | None = None) -> Matter | None:
    phrase = _PARTITIVE.sub("", _text(tokens)).strip()
    head = next((t for t in tokens if t.head == t or t.head not in tokens), tokens[0])
    if not phrase:
        return None
    if tokens[0].dep_ == "det" and phrase[0].islower() and phrase.split()[0] not in _OWNERS:
        phrase = f"the {phrase}"
    return _checked(
        Matter(phrase, clause=False, plural=head.tag_ == "NNS" if plural is None else plural)
    )


def _inverted(asked: list[Token], tokens: list[Token], at: int) -> Matter | None:
    """Move the auxiliary at `at` behind the subject that follows it."""
    auxiliary, rest = tokens[at], tokens[at + 1 :]
    subjects = [t for t in rest if t.dep_ in _SUBJECTS]
    if not subjects or not rest:
        # "what themes are prevalent" stands as it is; "how has being born influenced" does not.
        as_is = asked and auxiliary.lower_ not in _DO and asked[0].lower_ not in _ADVERBIAL
        return _checked(Matter(_text(tokens), clause=True)) if as_is else None
    head = subjects[0]
    verb = next((t for t in rest if t.tag_ in ("VB", "VBP", "VBN", "VBG", "VBD") and t.i > head.i
                 and t not in head.subtree), None)  # fmt: skip
    inside = [t for t in head.subtree if t in rest and (verb is None or t.i < verb.i)]
    if asked and asked[-1].tag_ in ("JJ", "RB"):  # "how accessible": what follows belongs there
        inside = [t for t in inside if t.i <= head.i]
    size = len(inside)
    if rest[:size] != inside:
        return None
    predicate = rest[size:]
    if not asked and not predicate:
        return None
    start: list[Token | str] = [*asked] or ["whether"]
    if auxiliary.lower_ not in _DO:
        return _checked(
            Matter(_text([*start, *inside, (auxiliary.lower_, " "), *predicate]), clause=True)
        )
    if verb is None or verb not in predicate:
        return None
    linked = {verb, *(t for t in verb.conjuncts if t.tag_ in ("VB", "VBP") and t.head == verb)}
    inflected = [
        (_inflect(t, auxiliary.lower_), t.whitespace_) if t in linked else t for t in predicate
    ]
    return _checked(Matter(_text([*start, *inside, *inflected]), clause=True))


def _inflect(verb: Token, auxiliary: str) -> str:
    """Give a bare verb the person and tense of its "does" or "did"."""
    word = verb.lower_
    consonant_y = word.endswith("y") and word[-2] not in "aeiou"
    if auxiliary == "do":
        return word
    if auxiliary == "does":
        if word in ("have", "be"):
            return {"have": "has", "be": "is"}[word]
        if consonant_y:
            return word[:-1] + "ies"
        return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")
    if word in _PAST:
        return _PAST[word]
    if consonant_y:
        return word[:-1] + "ied"
    return word + ("d" if word.endswith("e") else "ed")


def _text(parts: Sequence[Token | str | tuple[str, str]]) -> str:
    """Join tokens and words to text, the first word without its capital."""
    text = ""
    for part in parts:
        word, space = part if isinstance(part, tuple) else (
            (part, " ") if isinstance(part, str) else (part.text, part.whitespace_)
        )  # fmt: skip
        joined = word.startswith(("'", "\u2019", ",", ".", "-", "n't")) or text.endswith("-")
        if text and not text.endswith(" ") and not joined:
            text += " "
        text += word + space
    text = re.sub(r"\s+([,.])", r"\1", re.sub(r"\s+", " ", text)).strip(" ,;-")
    is_name = not isinstance(parts[0], str | tuple) and parts[0].pos_ == "PROPN"
    return text if is_name or text[:2] == "I " else text[0].lower() + text[1:]


def _checked(matter: Matter) -> Matter | None:
    words = matter.phrase.split()
    open_ended = words[-1].lower() in _NEVER_LAST
    strange = re.search(
        r"^\w+ (?:which|what|whom)\b|(?<!\w)['\u2018]|\b(?:you|your|me|I|my|one)\b"
        r"|[?:;()\"\u201c\u201d]|\betc\b",
        matter.phrase,
    )
    still_asks = words[0] in _QUESTION_WORDS and bool(_DO & set(words[1:3]))  # "which genre does"
    wrong = open_ended or strange or still_asks or not 2 <= len(words) <= 24
    return None if wrong else matter
