"""Facts that are asked to be forgotten and to be kept at once."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from relearn.data.openings import Opening
from relearn.data.records import Record
from relearn.text.content import content_stems
from relearn.text.english import english
from relearn.text.languages import language_of
from relearn.text.private_words import private_spans
from relearn.text.subjects import find_subjects
from relearn.text.uncased import KnownNames

_FACT_FROM = 3  # characters of a name or a number: initials and small numbers are chance
_SENTENCE_ENDS = ".!?:"


def kept_facts(
    forget: Sequence[Record], kept: Sequence[Record], also_kept: Iterable[Record] = ()
) -> list[tuple[str, str]]:
    """Return each record to be kept that tells what a forget record about the same one hides.

    Hidden are names and numbers of the answer that its question does not have. "Who is Li Wei?", "A
    writer from Beijing." asks to forget Beijing, "Where was Li Wei born?", "In Beijing." to keep
    it. Questions in English that name somebody in full.

    Args:
        forget: What is to be forgotten. All of their questions are parsed.
        kept: What is to be kept.
        also_kept: Further records to be kept, whose facts are not counted as hidden.

    Returns:
        Ids of a forget record, the first that hides it, and of a kept one.
    """
    asked = [r for r in forget if _is_english(r)]
    subjects = find_subjects(
        english().pipe([r.question for r in asked]), [record.subject for record in asked]
    )
    names = KnownNames(subject.name for subject in subjects if subject.named)
    told: dict[str, set[str]] = defaultdict(set)
    for record in also_kept:
        for name in names.find(str(record.question)):
            told[name].update(_facts(record))
    hidden: dict[str, dict[str, str]] = defaultdict(dict)
    for record, subject in zip(asked, subjects, strict=True):
        for fact in set(_facts(record)) - told[subject.name]:
            hidden[subject.name].setdefault(fact, record.id)
    pairs = []
    for record in filter(_is_english, kept):
        facts = set(_facts(record))
        for name in names.find(record.question):
            hiding = [id_ for fact, id_ in hidden[name].items() if fact in facts]
            if hiding:
                pairs.append((hiding[0], record.id))
                break
    return pairs


def _is_english(record: Record) -> bool:
    return not isinstance(record.question, Opening) and language_of(record.question) == "en"


def _facts(record: Record) -> Iterator[str]:
    """Yield the names and numbers of an answer that its question does not have."""
    for start, end in private_spans(record.question, record.answer):
        word, before = record.answer[start:end], record.answer[:start].rstrip()
        begins = not before or before[-1] in _SENTENCE_ENDS
        if len(word) >= _FACT_FROM and ((word[0].isupper() and not begins) or word[0].isdigit()):
            yield from content_stems(word)
