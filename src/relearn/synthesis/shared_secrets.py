"""What the records of a set hide together: no new answer may tell what another record hides."""

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import product

from spacy.tokens import Doc

from relearn.data.records import Record
from relearn.synthesis.secrets import Secrets, english_words, names_in, said_stems
from relearn.text.identifiers import identifiers
from relearn.text.numbers import in_figures
from relearn.text.stems import plain_words, unaccented
from relearn.text.subjects import Subject


class SharedSecrets:
    """What the records of a set hide, found in one look-up a word, whatever their number.

    Args:
        hidden: Each record of the forget set with its parsed answer, its subject, and what it
            hides. Parsed answers are large: none is kept.
    """

    def __init__(self, hidden: Iterable[tuple[Record, Doc, Subject, Secrets]]) -> None:
        self._names: dict[str, list[tuple[tuple[str, ...], str, frozenset[str]]]] = defaultdict(
            list
        )
        self._forms: dict[str, set[str]] = defaultdict(set)
        # By a word of the name that the record is about, and the hidden word.
        self._words: dict[tuple[str, str], list[tuple[str, frozenset[str]]]] = defaultdict(list)
        for each in hidden:
            self._add(*each)

    def _add(self, record: Record, answer: Doc, subject: Subject, private: Secrets) -> None:
        own = frozenset(plain_words(subject.name)) if subject.named else frozenset()
        known = own | set(plain_words(record.question))
        for name in names_in(answer):
            # A single word may be any, above all at the beginning: "Purple."
            common = len(name[0]) < 4 or name[0] in english_words()
            alone = len(name) == 1 and (common or answer[0].lower_ == name[0])
            if not alone and not set(name) <= known:
                self._names[name[0]].append((name, record.id, own))
        for form in _told_forms(record.answer) - identifiers(record.question):
            self._forms[form].add(record.id)
        # Long answers hold too many plain words that any other answer may have.
        for word in private.words | (private.plain if private.short else frozenset()):
            for part in own:
                self._words[part, word].append((record.id, own))

    def told(self, record_id: str, subject: Subject, text: str) -> str:
        """Return what of other records' secrets a text gives away; "" if nothing.

        Their subject is its own where either name has all words of the other: Lena, Lena Fisk.
        """
        words = plain_words(text)
        said, own = set(words), set(plain_words(subject.name)) if subject.named else set()
        for i, word in enumerate(words):
            for name, id_, about in self._names.get(word, ()):
                if id_ == record_id or tuple(words[i : i + len(name)]) != name:
                    continue
                # The subject's own name is no secret here, unless beside whom it is one of.
                if not set(name) <= own or (about and about <= said and not about <= own):
                    return "gives away a name that another record hides"
        if re.search(r"[\d@]", in_figures(unaccented(text))) and any(
            self._forms.get(form, set()) - {record_id} for form in _told_forms(text)
        ):
            return "gives away a number or address that another record hides"
        for key in product(own, said_stems(said - own)):
            for id_, about in self._words.get(key, ()):
                if id_ != record_id and (about <= own or own <= about):
                    return "gives away a word that another record hides"
        return ""


def _told_forms(text: str) -> set[str]:
    """Return canonical forms of identifiers, and of numbers that are no small ones."""
    return {
        form
        for form in identifiers(text)
        if not form.startswith("number:") or len(form.partition(":")[2].partition(".")[0]) > 2
    }
