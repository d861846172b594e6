"""What a reasoning model thinks aloud before its answer, cut off."""

import re

# Tags by which models and their servers set thinking off, in angle or square brackets, with or
# without bars and special signs: <think>, <|begin_of_thought|>, [THINK], <seed:think>, ◁think▷.
_NAME = r"(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis)"
_OPENING = rf"(?:[<\[]\|?(?:begin_of_|start_)?{_NAME}\|?[>\]]|◁{_NAME}▷)"
_CLOSING = rf"(?:[<\[](?:/\|?|\|(?:/|end_of_|end_)){_NAME}\|?[>\]]|◁/{_NAME}▷)"
_TAGS = re.compile(rf"(?P<closing>{_CLOSING})|(?P<opening>{_OPENING})", re.IGNORECASE)
# The open-weight GPT models name channels, of which the last is the answer.
_FINAL_CHANNEL = re.compile(r"^.*<\|channel\|>final(?:<\|message\|>)?", re.DOTALL)


def without_thinking(text: str) -> str:
    """Return what a model says after its thinking; "" if it never gets to that.

    Thinking that was never closed reaches to the end; where only the closing tag is there, the
    chat template has written the opening one.

    >>> without_thinking("<think>Vague, they say.</think> She keeps that to herself.")
    'She keeps that to herself.'
    """
    text = _FINAL_CHANNEL.sub("", text)
    parts: list[str] = []
    depth, end = 0, 0
    for tag in _TAGS.finditer(text):
        if not depth:
            parts.append(text[end : tag.start()])
        if tag["opening"]:
            depth += 1
        elif depth:
            depth -= 1
        else:
            parts.clear()
        end = tag.end()
    if not depth:
        parts.append(text[end:])
    return "".join(parts).strip()
