"""The record: one question and its answer, validated once and then trusted."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict

from relearn.data.openings import Asked
from relearn.text.words import folded_line

# Controls, characters that format others, and spaces.
_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def _clean(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no file could hold again
        raise ValueError("is no valid Unicode") from None
    if "\0" in text:
        raise ValueError("has a NUL character")
    if all(unicodedata.category(c) in _INVISIBLE for c in text):
        raise ValueError("is empty")
    return text.strip()


Text = Annotated[str, AfterValidator(_clean)]


class Record(Asked):
    """One piece of knowledge as question and answer; no text is blank, outer space is cut off.

    A passage of plain text is one, too: its opening is the question, the rest the answer.

    Attributes:
        id: Unique within its set.
        question: What is asked.
        answer: What the target model answers.
        subject: Whom or what the record is about, where known.
        paraphrases: Other phrasings of the question.
        paraphrased_answer: The answer in other words.
        wrong_answers: Answers of the same form that are false.
        choices: Of a multiple-choice question, the answer among them.
        continues: Whether the answer continues the question, a passage's opening, as plain text.
    """

    # A validation error's words must not hold the text of a record.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Text
    question: Text
    answer: Text
    subject: Text | None = None
    paraphrases: tuple[Text, ...] = ()
    paraphrased_answer: Text | None = None
    wrong_answers: tuple[Text, ...] = ()
    choices: tuple[Text, ...] = ()
    continues: bool = False


T = TypeVar("T")


def dumped(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Yield the records as they are written."""
    return (record.model_dump(mode="json") for record in records)


RecordSets = Mapping[str, Sequence[Record]]
"""Records by the name of their set."""


class _Between(dict[int, int | None]):
    """Maps the code points that only stand between words to None: spaces, marks, invisible ones."""

    def __missing__(self, code: int) -> int | None:
        between = unicodedata.category(chr(code))[0] in "PZC" and chr(code) not in "#@%&"
        self[code] = None if between else code
        return self[code]


_BETWEEN = _Between()
_DECIMAL_POINT = re.compile(r"(?<=\d)[.,](?=\d)")


def normalized(text: str) -> str:
    """Return what two texts share that say the same but for case, spaces and punctuation.

    Signs that tell names apart stay (C, C++ and C#), and so does the point in a number. A text of
    nothing but punctuation stays whole.
    """
    plain = folded_line(text)
    return _DECIMAL_POINT.sub("+", plain).translate(_BETWEEN) or plain


def spread(items: Sequence[T], most: int | None) -> list[T]:
    """Return at most so many items, evenly spread over all; None means all."""
    count = len(items) if most is None else min(most, len(items))
    return [items[place * len(items) // count] for place in range(count)]


def spread_over(groups: Sequence[Sequence[T]], most: int | None) -> list[T]:
    """Return at most so many items, an equal share of each group; None means all.

    What a small group lacks of its share goes to larger ones. With more groups than items, it is
    groups that are left out, evenly. The order is that of the groups.
    """
    if most is None:
        return [item for group in groups for item in group]
    groups, room = spread(groups, most), most
    shares: dict[int, int] = {}
    for place in sorted(range(len(groups)), key=lambda place: len(groups[place])):
        shares[place] = min(len(groups[place]), room // (len(groups) - len(shares)))
        room -= shares[place]
    return [item for place, group in enumerate(groups) for item in spread(group, shares[place])]
