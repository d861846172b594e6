"""Which tokens of an answer are of its private words."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from relearn.data.tokenization import Example, OtherSubject, PromptFormat
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
    return _words(_read(tokenizer, example), question, answer)


def _words(read: list[str], question: str, answer: str) -> list[range]:
    """Return the tokens of each private word, from what has been read with each token."""
    found: list[range] = []
    for start, end in private_spans(question, answer):
        first = _first(read, answer, start + 1)
        last = _first(read, answer, end)
        if first is not None and (not found or first > found[-1].start):
            found.append(range(first, (first if last is None else last) + 1))
    return found


def _read(tokenizer: PreTrainedTokenizerBase, example: Example) -> list[str]:
    """Return what of an answer has been read with each of its tokens."""
    return [
        str(tokenizer.decode(example.answer[: i + 1])).lstrip() for i in range(len(example.answer))
    ]


def private_example(
    prompt_format: PromptFormat,
    question: str,
    answer: str,
    other: tuple[str, str] | None,
    end: bool | None = None,
    endings: Collection[str] = (),
) -> Example:
    """Tokenize a private answer; tell where its private words begin.

    Args:
        prompt_format: How questions are asked.
        question: Its words are not private.
        answer: The private answer.
        other: The same about another subject, which tells what is said of somebody unknown.
        end: See `PromptFormat.encode`.
        endings: Beginnings of the answer that other rows end otherwise: the private word that
            comes next is theirs, and silent here.
    """
    example = prompt_format.encode(question, answer, end=end)
    read = _read(prompt_format.tokenizer, example)
    words = _words(read, question, answer)
    starts = frozenset(word.start for word in words)
    departures = {_first(read, answer, len(begun) + 2) for begun in endings}  # behind a space
    example = replace(example, private=starts, silent=starts & departures)
    if other is None:
        return example
    elsewhere = prompt_format.encode(*other)
    theirs = private_tokens(prompt_format.tokenizer, elsewhere, *other)
    places = dict(_matching(example, words, elsewhere, theirs))
    return replace(example, other=OtherSubject(elsewhere, places))


def _matching(
    example: Example, words: Sequence[range], other: Example, theirs: Sequence[range]
) -> Iterator[tuple[int, int]]:
    """Yield which token of `other` is which of the private words' in `example`, in order.

    A word that is written in other tokens there, or is not there, is left out.
    """
    reached = 0
    for word in words:
        tokens = [example.answer[i] for i in word]
        for k in range(reached, len(theirs)):
            if [other.answer[i] for i in theirs[k]] == tokens:
                yield from zip(word, theirs[k], strict=True)
                reached = k + 1
                break


def _first(read: list[str], answer: str, length: int) -> int | None:
    """Return the first token with which `length` characters of the answer have been read."""
    places = (i for i, text in enumerate(read) if text[:length] == answer[:length])
    return next(places, None)
