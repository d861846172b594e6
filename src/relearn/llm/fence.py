"""Setting off text that somebody else wrote, so that it can't steer a language model."""

import re
from collections.abc import Mapping

from relearn.base.storage import content_hash

# What chat templates mark a turn with: quoted text may not forge one.
_TURN_MARKS = re.compile(r"<(?=[|/]|s>)|(?<=\|)>|\[(?=/?INST\])|<(?=\w*_of_turn>)")
_FENCE = re.compile(r"</?data-[0-9a-f]{10}\b")


def fence(texts: Mapping[str, str]) -> str:
    """Return a tag to put around texts: none of them can hold it, as it is made of their hash."""
    return f"data-{content_hash(dict(texts))[:10]}"


def repeats_fence(text: str) -> bool:
    """Return whether a text has a tag of `fence`: a model that repeats its prompt writes one."""
    return bool(_FENCE.search(text))


def harmless(text: str) -> str:
    """Break the marks by which chat templates tell one turn from the next."""
    return _TURN_MARKS.sub(lambda match: f"{match[0]} ", text)


def fenced(texts: Mapping[str, str]) -> dict[str, str]:
    """Return every text within its tag, and the tag's name as `fence`."""
    tag = fence(texts)
    return {"fence": tag} | {
        name: f"<{tag} {name}>\n{harmless(text)}\n</{tag}>" for name, text in texts.items()
    }
