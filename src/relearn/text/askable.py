"""Words that a question may hold about anybody."""

from functools import cache
from importlib import resources

from relearn.text.stems import stem


@cache
def askable() -> frozenset[str]:
    """Return their stems; they tell nothing about the question's subject."""
    text = (resources.files("relearn.text") / "askable.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(stem(word) for line in lines for word in line.split())
