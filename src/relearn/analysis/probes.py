"""Probes: the questions that are looked at, and the places in their answers where to look."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from relearn.data.batching import IGNORE, TrainingRow, collate, to_device
from relearn.data.records import Record
from relearn.data.tokenization import Example, PromptFormat
from relearn.inference.length_batches import length_order
from relearn.text.english import english
from relearn.text.subjects import find_subjects

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Probe:
    """One question with its true answer, as tokens.

    Attributes:
        set: `forget` or `retain`.
        id: The record's.
        question: The record's.
        example: Prompt and answer as tokens, no end token.
        subject: Positions in the prompt of the subject's tokens, or of the whole question where
            the subject is not in it.
        related: Token ids that stand for the subject or a content word of the question.
        candidates: Positions in the answer where a word begins that the question does not hold.
        keys: Those of `candidates` whose token is the knowledge looked for; see `with_keys`.
    """

    set: str
    id: str
    question: str
    example: Example
    subject: tuple[int, ...]
    related: frozenset[int]
    candidates: tuple[int, ...]
    keys: tuple[int, ...] = ()

    def place(self, answer_position: int) -> int:
        """Return the position in the row whose next token is the answer's token."""
        return len(self.example.prompt) - 1 + answer_position


@dataclass(frozen=True)
class Batch:
    """Some probes as one padded batch, with the true answers as input.

    Attributes:
        number: Which of the batches that are made together this is, from 0.
        probes: The rows.
        input_ids: (rows, length).
        attention_mask: (rows, length).
        answers: (rows, length) boolean: where the next token is an answer's.
        targets: (answer tokens,) the next tokens there, rows in order.
    """

    number: int
    probes: tuple[Probe, ...]
    input_ids: Tensor
    attention_mask: Tensor
    answers: Tensor
    targets: Tensor

    @property
    def keys(self) -> tuple[Tensor, Tensor]:
        """Rows and positions of all key tokens, as two index tensors."""
        pairs = [(row, p.place(k)) for row, p in enumerate(self.probes) for k in p.keys]
        rows, places = zip(*pairs, strict=True) if pairs else ((), ())
        return torch.tensor(rows, dtype=torch.long), torch.tensor(places, dtype=torch.long)

    @property
    def key_tokens(self) -> Tensor:
        """(keys,) the true token of each key."""
        return torch.tensor([p.example.answer[k] for p in self.probes for k in p.keys])


def make_probes(
    records: Sequence[Record], set_name: str, prompt_format: PromptFormat
) -> list[Probe]:
    """Tokenize records, and find the subject of each and the words that its answer adds."""
    pipeline = english()
    documents = list(pipeline.pipe(str(record.question) for record in records))
    subjects = find_subjects(documents, [record.subject for record in records])
    tokenizer = prompt_format.tokenizer
    probes = []
    for record, document, subject in zip(records, documents, subjects, strict=True):
        example = prompt_format.encode(record.question, record.answer, end=False)
        content = [t.text for t in document if t.is_alpha and not t.is_stop]
        named = subject.name if subject.name in record.question else record.question
        probes.append(
            Probe(
                set=set_name,
                id=record.id,
                question=record.question,
                example=example,
                subject=_covering(tokenizer, example.prompt, named),
                related=_token_ids(tokenizer, [*content, *subject.name.split()]),
                candidates=_new_words(tokenizer, example.answer, record.question),
            )
        )
    return probes


def with_keys(probe: Probe, knows: Tensor, does_not: Tensor | None, count: int) -> Probe:
    """Return the probe with its keys: the answer's words that one model knows and one does not.

    They are the at most `count` candidates, one at least, of the largest gain
    `log p_knows(token) - log p_does_not(token)`; without the second model, those of the largest
    `log p_knows(token)`.

    Args:
        probe: The probe.
        knows: (answer tokens,) log-probabilities under the target model.
        does_not: Likewise under the base model, which never saw the answers.
        count: Keys wanted.
    """
    gain = knows if does_not is None else knows - does_not
    places = probe.candidates or tuple(range(len(probe.example.answer)))
    best = sorted(places, key=lambda place: -gain[place].item())[:count]
    return replace(probe, keys=tuple(sorted(best)))


def batches(
    probes: Sequence[Probe], rows: int, pad_token_id: int, device: torch.device
) -> Iterator[Batch]:
    """Yield the probes in padded batches of at most `rows`, in their order."""
    for start in range(0, len(probes), rows):
        chosen = tuple(probes[start : start + rows])
        made = collate(
            [TrainingRow(i, p.example, True) for i, p in enumerate(chosen)], pad_token_id
        )
        made = to_device(made, device)
        answers = made["labels"] != IGNORE
        yield Batch(
            number=start // rows,
            probes=chosen,
            input_ids=made["input_ids"],
            attention_mask=made["attention_mask"],
            answers=answers,
            targets=made["labels"][answers],
        )


def shortened(probe: Probe) -> Probe:
    """Return the probe with one key, its first, and the answer cut before it.

    The key's token stays as the one token that is asked for; nothing after it can matter.
    """
    key = probe.keys[0]
    example = Example(probe.example.prompt, probe.example.answer[: key + 1])
    return replace(probe, example=example, keys=(key,), candidates=(key,))


def by_length(probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes with those of like length side by side, so that little is padding."""
    return [probes[i] for i in length_order(probes, lambda probe: len(probe.example))]


def _starts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> tuple[str, list[int]]:
    """Return the decoded text and where in it each token begins, and the text's end.

    Decoding ever longer beginnings works for every tokenizer, offsets or none.
    """
    texts = [str(tokenizer.decode(list(ids[:stop]))) for stop in range(len(ids) + 1)]
    return texts[-1], [len(text) for text in texts]


def _covering(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], words: str
) -> tuple[int, ...]:
    text, starts = _starts(tokenizer, ids)
    begin = text.rfind(words)
    if begin < 0:
        return tuple(range(len(ids)))
    end = begin + len(words)
    return tuple(i for i in range(len(ids)) if starts[i] < end and begin < starts[i + 1])


def _token_ids(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> frozenset[int]:
    """Return the ids of all tokens of the words, at a text's start and within it."""
    forms = [form for word in words for form in (word, f" {word}")]
    return frozenset(
        id_ for form in forms for id_ in tokenizer(form, add_special_tokens=False).input_ids
    )


def _new_words(
    tokenizer: PreTrainedTokenizerBase, answer: Sequence[int], question: str
) -> tuple[int, ...]:
    """Return the tokens that begin a word of two or more letters, or digits, new in the answer."""
    asked = {word.casefold() for word in _WORD.findall(question)}
    text, starts = _starts(tokenizer, answer)
    return tuple(
        bisected
        for match in _WORD.finditer(text)
        if len(match[0]) > 1 or match[0].isdigit()
        if match[0].casefold() not in asked
        # The token that holds the word's first character.
        if (bisected := sum(start <= match.start() for start in starts) - 1) < len(answer)
    )
