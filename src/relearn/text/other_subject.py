"""The same question and answer about somebody else, of whom nothing is known."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from relearn.text.english import english
from relearn.text.subjects import find_subjects


def about_others(
    texts: Sequence[tuple[str, str]], subjects: Sequence[str | None], seed: int
) -> list[tuple[str, str] | None]:
    """Return each question and answer with its subject's name exchanged for an invented one.

    Parts of the name, such as the first name alone, are exchanged too. None where the question
    names nobody. Names that any text has are not taken.

    Args:
        texts: Questions and answers.
        subjects: Whom or what each is about, None where it is to be found.
        seed: Fixes who takes whose place; texts next to each other get different names.
    """
    found = find_subjects(english().pipe(question for question, _ in texts), subjects)
    everything = " ".join(f"{question} {answer}" for question, answer in texts)
    names = [name for name in _names() if not any(part in everything for part in name.split())]
    if not names:
        return [None] * len(texts)
    return [
        (
            _exchanged(question, subject.name, names[(i + seed) % len(names)]),
            _exchanged(answer, subject.name, names[(i + seed) % len(names)]),
        )
        if subject.named and subject.name in question
        else None
        for i, ((question, answer), subject) in enumerate(zip(texts, found, strict=True))
    ]


def _exchanged(text: str, old: str, new: str) -> str:
    text = text.replace(old, new)
    former, latter = old.split(), new.split()
    for part, other in ((former[0], latter[0]), (former[-1], latter[-1])):
        text = re.sub(rf"(?<![\w-]){re.escape(part)}(?![\w-])", other, text)
    return text


@cache
def _names() -> tuple[str, ...]:
    text = (files("relearn.text") / "other_names.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
