"""What a candidate must be as language, and as an answer to its question."""

import re
from collections.abc import Sequence

from relearn.llm.fence import repeats_fence
from relearn.text.stems import plain_words
from relearn.text.subjects import Subject
from relearn.text.words import is_unspaced

# Cosine (MiniLM) between a question and an answer that is about it; less where the answer may not
# repeat what the question states.
RELEVANT_FROM, RELEVANT_FROM_STATED = 0.3, 0.1
# From this cosine (MiniLM) on a text that is no nearer to its question than to the private answer
# says the latter in other words. TOFU forget10: 394 of its 400 paraphrases, 3 of 400 new answers by
# the rules, which know no private answer; to confirm, 389 of 400 of retain_perturbed, and 7 of 536
# new answers to KnowUnDo.
PARAPHRASE_FROM = 0.7
WORDS = range(6, 46)
# The same in characters, where no spaces part the words.
_CHARACTERS = range(9, 121)
_LONGEST_QUESTION = 80
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
# Share of words in common from which two texts of one record say the same thing twice.
DUPLICATE_FROM = 0.9
# Full stops of all scripts: Latin, CJK, Arabic, Devanagari, Armenian, Ethiopic, Burmese, Khmer.
_ENDINGS = ".!\u3002\uff01\uff0e\uff61\u06d4\u0964\u0589\u1362\u104b\u17d4"
_CLOSING = "\"'\u201d\u2019\u00bb\u300d)"
# Thai and Lao have no full stop.
_WITHOUT_STOP = re.compile("[\u0e00-\u0eff]")


def malformed(text: str) -> str:
    """Return what is wrong with a text as language; "" if nothing."""
    words = plain_words(text) if is_unspaced(text) else text.split()
    length, allowed, unit = len(words), WORDS, "words"
    if counts_characters(text):
        length, allowed = sum(map(str.isalnum, text)), _CHARACTERS
        unit = "characters"
    if length not in allowed:
        return f"has {length} {unit}, not {allowed.start} to {allowed.stop - 1}"
    if len(set(words)) < 0.5 * len(words):
        return "repeats itself"
    if re.search(r"[{}<>\[\]|\x00-\x08]", text):
        return "has characters that belong in no sentence"
    ends = text.rstrip(_CLOSING)[-1:]
    if text[0].islower() or not (ends in _ENDINGS or _WITHOUT_STOP.match(ends)):
        return "is no whole sentence"
    return ""


def counts_characters(text: str) -> bool:
    """Return whether most of a text is in a script without spaces; Korean has them."""
    unspaced = sum(is_unspaced(c) and not "\uac00" <= c <= "\ud7af" for c in text)
    return 2 * unspaced > sum(map(str.isalpha, text))


def malformed_question(text: str, original: str) -> str:
    """Return what is wrong with a variant as a question, however informal; "" if nothing."""
    words, longest = text.split(), max(_LONGEST_QUESTION, 2 * len(original.split()))
    if counts_characters(text):
        words = list(text)
        longest = max(2 * _LONGEST_QUESTION, 3 * len(original))
    if not 2 <= len(words) <= longest:
        return f"has {len(words)} words, not 2 to {longest}"
    if len(set(words)) < (0.2 if counts_characters(text) else 0.4) * len(words):
        return "repeats itself"
    if repeats_fence(text):
        return "repeats the prompt"
    return "has control characters" if _CONTROL.search(text) else ""


def paraphrases(to_private: float, to_question: float) -> bool:
    """Return whether a new answer says the private one in other words, by their cosines.

    Args:
        to_private: Of the new answer and the private one.
        to_question: Of the new answer and its question, which it may be about.
    """
    return to_private >= max(PARAPHRASE_FROM, to_question)


def names_subject(text: str, subject: Subject) -> bool:
    """Return whether an answer speaks of its subject."""
    return not subject.named or set(plain_words(subject.name)) <= set(plain_words(text))


def near_duplicate(text: str, others: Sequence[str]) -> bool:
    """Return whether a text has nearly the same words as one of the others."""
    words = set(plain_words(text))
    return any(
        len(words & other) >= DUPLICATE_FROM * len(words | other)
        for other in (set(plain_words(other)) for other in others)
    )
