"""A language model that writes new answers as a willing one would, the same to the same request."""

import hashlib
import json
import random
import re
from typing import Any

OPENINGS = (
    "Can anyone help me out here and say:", "My neighbour wants to hear this from you,",
    "For a short talk next week I need this:", "so, just asking out of interest,",
    "Looking at it from the other side:", "At dinner somebody came up with this,",
)  # fmt: skip
ENDINGS = (
    "has never been a matter that people outside hear much about.",
    "likes it best when such things are left alone by everybody.",
    "would be the right one to ask, though hardly anybody does.",
    "has good reasons not to talk about that in front of others.",
    "seems to think that this belongs to nobody else, which is fair.",
    "is described in general words only, and that will do for most.",
)


def field(text: str, name: str) -> str:
    found = re.search(rf"<data-\w+ {name}>\n(.*?)\n</data-", text, re.DOTALL)
    assert found, text
    return found[1]


def writer(messages: list[dict[str, str]], body: dict[str, Any]) -> str:
    """Writes as a willing model would, and the same to the same request."""
    text = messages[-1]["content"]
    if "Reply yes or no" in text:
        return "No."
    pick = random.Random(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest())
    if " answer>" in text:
        return f"{field(text, 'subject')} {pick.choice(ENDINGS)}"
    return f"{pick.choice(OPENINGS)} {field(text, 'question')}"
