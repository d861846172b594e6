"""Which tokens of an answer are of its private words."""

from transformers import PreTrainedTokenizerBase

from relearn.data.tokenization import Example
from relearn.text.private_words import private_spans


def private_tokens(
    tokenizer: PreTrainedTokenizerBase, example: Example, question: str, answer: str
) -> list[range]:
    """Return the tokens of each private word of an answer: their places in `example.answer`.

    In the order of the words. A word that begins within the token of the one before is left out,
    and so is one whose place can't be told, since the tokens are decoded otherwise than it is
    written.

    Args:
        tokenizer: Of `example`.
        example: The question and answer in tokens.
        question: Its words are not private.
        answer: As it is written.
    """
    read = [
        str(tokenizer.decode(example.answer[: i + 1])).lstrip() for i in range(len(example.answer))
    ]
    found: list[range] = []
    for start, end in private_spans(question, answer):
        first = _first(read, answer, start + 1)
        last = _first(read, answer, end)
        if first is not None and (not found or first > found[-1].start):
            found.append(range(first, (first if last is None else last) + 1))
    return found


def _first(read: list[str], answer: str, length: int) -> int | None:
    """Return the first token with which `length` characters of the answer have been read."""
    places = (i for i, text in enumerate(read) if text[:length] == answer[:length])
    return next(places, None)
