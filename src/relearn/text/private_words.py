"""The words of an answer that its question does not give away, and where they stand."""

import re

from relearn.text.content import content_stems, stems

_WORD = re.compile(r"[^\W_]+(?:[.@+_'\u2019-]+[^\W_]+)*")


def private_stems(question: str, answer: str) -> frozenset[str]:
    """Return the stems of the content words of the answer that the question does not have."""
    return content_stems(answer).difference(stems(question))


def private_spans(question: str, answer: str) -> list[tuple[int, int]]:
    """Return where those words are in the answer, as (start, end) characters, in order."""
    private = private_stems(question, answer)
    return [
        found.span()
        for found in _WORD.finditer(answer)
        if not private.isdisjoint(content_stems(found[0]))
    ]
