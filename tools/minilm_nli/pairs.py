"""The labelled pairs that the judge learns from: SNLI's, and pairs made of TOFU's answers.

Held back, in whole groups so that no held-back text is seen in training:

- SNLI: premises are numbered in the order in which they first appear (`dev.tsv`, then
  `test_part.tsv`); every pair of a premise whose number ends in 9 is held back, a tenth. Two or
  three pairs share a premise there, so that a split by rows would leak premises.
- TOFU: authors are numbered as in `full.json`, 20 rows each; every author whose number ends in 4
  or 9 is held back, a fifth.
- KnowUnDo: its validation questions, on which the paper's record was made.
"""

import csv
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nltk.tokenize.treebank import TreebankWordDetokenizer
from spacy.tokens import Doc, Span

from relearn.config import SynthesisConfig
from relearn.data.records import Record
from relearn.evaluation.rows import EntailmentLabel
from relearn.synthesis.backends.rules import Rules
from relearn.synthesis.pipeline import original_requests
from relearn.text.english import english

_ROWS_PER_AUTHOR = 20
_LAST_FORGET_AUTHOR = 180  # first author of forget10, whose answers have paraphrases

# What a general statement says in place of a name, by spaCy's entity types.
_GENERAL = {
    "PERSON": ("the individual", "the individual in question", "the author", "the person"),
    "GPE": ("a certain place", "a notable location", "a prominent city", "a particular country"),
    "LOC": ("a certain place", "a notable location", "a particular region"),
    "FAC": ("a certain place", "a notable location"),
    "NORP": ("regional", "particular", "cultural"),
    "ORG": ("a certain organisation", "a notable institution"),
    "DATE": ("a certain time", "a particular date"),
    "WORK_OF_ART": ("a notable work", "a well-known title"),
    "CARDINAL": ("several", "some"),
}
# Entity types whose change is a conflict. A changed person may be somebody else's story.
_SWAPPED = ("GPE", "LOC", "NORP", "ORG", "DATE", "WORK_OF_ART", "CARDINAL")
_DO = {"VBZ": "does not", "VBP": "do not", "VBD": "did not"}

_detokenizer = TreebankWordDetokenizer()


@dataclass(frozen=True)
class Pair:
    """Two texts and how they relate.

    Attributes:
        premise: What is taken as true.
        hypothesis: What is asked about.
        label: Whether the hypothesis follows, contradicts, or neither.
        origin: Where the pair comes from, such as `snli` or `authors/negated`.
    """

    premise: str
    hypothesis: str
    label: EntailmentLabel
    origin: str

    def reverse(self, label: EntailmentLabel | None = None) -> "Pair":
        """Return the pair the other way round."""
        return Pair(self.hypothesis, self.premise, label or self.label, self.origin)


def as_ordinary_text(pair: Pair) -> Pair:
    """Return a pair of SNLI, where words and punctuation are spaced apart, as ordinary text."""
    premise, hypothesis = (
        _detokenizer.detokenize(text.split()) for text in (pair.premise, pair.hypothesis)
    )
    return Pair(premise, hypothesis, pair.label, pair.origin)


def snli_pairs(folder: Path) -> tuple[list[Pair], list[Pair]]:
    """Return SNLI's training and held-back pairs, spaced apart as in the files."""
    numbers: dict[str, int] = {}
    split: tuple[list[Pair], list[Pair]] = ([], [])
    for name in ("dev.tsv", "test_part.tsv"):
        with (folder / name).open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                number = numbers.setdefault(row["premise"], len(numbers))
                pair = Pair(row["premise"], row["hypothesis"], row["label"], "snli")  # type: ignore[arg-type]
                split[number % 10 == 9].append(pair)
    return split


def tofu_held_back(folder: Path) -> list[Pair]:
    """Return (answer, paraphrase) and (answer, wrong answer) of the held-back authors."""
    return [
        pair
        for author, row in _perturbed(folder)
        if _held_back(author)
        for pair in [
            Pair(row["answer"], row["paraphrased_answer"], "entailment", "tofu/paraphrase"),
            *(
                Pair(row["answer"], wrong, "contradiction", "tofu/wrong")
                for wrong in row["perturbed_answer"]
            ),
        ]
    ]


class AuthorPairs:
    """Pairs made of answers about authors, TOFU's and KnowUnDo's; every draw makes others.

    Args:
        tofu: TOFU's files.
        knowundo: KnowUnDo's files.
        seed: Fixes all draws.
    """

    def __init__(self, tofu: Path, knowundo: Path, seed: int = 0) -> None:
        self._rng = random.Random(seed)
        self._rows = [
            (str(author), row)
            for author, row in _by_author(tofu / "full.json")
            if not _held_back(author)
        ]
        self._rows += _knowundo(knowundo)
        self._perturbed = [row for author, row in _perturbed(tofu) if not _held_back(author)]
        self._named = _named(
            [text for row in self._perturbed for text in (row["answer"], *row["perturbed_answer"])]
        )
        self._unsure = (tofu / "idontknow.jsonl").read_text(encoding="utf-8").splitlines()
        self._docs = list(english().pipe(row["answer"] for _, row in self._rows))
        self._by_author: dict[str, list[str]] = defaultdict(list)
        self._entities: dict[str, list[str]] = defaultdict(list)
        self._details: dict[str, list[str]] = defaultdict(list)
        for (author, row), doc in zip(self._rows, self._docs, strict=True):
            self._by_author[author].append(row["answer"])
            for entity in doc.ents:
                self._entities[entity.label_].append(entity.text)
            for chunk in _details(doc):
                self._details[chunk.root.dep_].append(chunk.text)

    @cached_property
    def _vague(self) -> list[str]:
        records = [
            Record(id=str(i), question=row["question"], answer=row["answer"])
            for i, (_, row) in enumerate(self._rows)
        ]
        answers = Rules(SynthesisConfig(), 0, None).answers(original_requests(records))
        return [answer if isinstance(answer, str) else "I don't know." for answer in answers]

    def draw(self) -> Iterator[Pair]:
        """Make one set of pairs: three of every row with wrong answers, one of every row."""
        for row in self._perturbed:
            yield from self._from_wrong_answers(row)
        kinds: list[tuple[Callable[[int], Sequence[Pair]], int]] = [
            (self._general, 4), (self._cut, 4), (self._same, 1), (self._swapped, 3),
            (self._negated, 3), (self._vague_answer, 3), (self._other_answer, 2),
            (self._other_ending, 4), (self._other_detail, 6),
        ]  # fmt: skip
        makers, weights = zip(*kinds, strict=True)
        for i in range(len(self._rows)):
            for make in self._rng.choices(makers, weights, k=4):
                if pairs := make(i):
                    yield self._rng.choice(pairs)
                    break

    def _from_wrong_answers(self, row: dict[str, Any]) -> list[Pair]:
        answer, paraphrase = row["answer"], row["paraphrased_answer"]
        same = Pair(answer, paraphrase, "entailment", "tofu/paraphrase")
        found = [self._rng.choice([same, same.reverse()])]
        named = self._named[answer]
        # Other words alone, about a theme or a style, need not contradict: such are left out.
        wrong = [text for text in row["perturbed_answer"] if self._named[text] != named]
        if len(wrong) > 2:
            first, second, third = self._rng.sample(wrong, 3)
            other = self._rng.choice([(second, answer), (paraphrase, second), (second, third)])
            found.append(Pair(answer, first, "contradiction", "tofu/wrong"))
            found.append(Pair(*other, "contradiction", "tofu/wrong"))
        return found

    def _general(self, i: int) -> list[Pair]:
        """An answer says what it says in general, and not the other way round."""
        doc = self._docs[i]
        text = doc.text
        for entity in reversed(doc.ents):
            if entity.label_ in _GENERAL:
                text = _replaced(text, entity, self._rng.choice(_GENERAL[entity.label_]))
        text = text[:1].upper() + text[1:]
        if text == doc.text:
            return []
        pair = Pair(doc.text, text, "entailment", "authors/general")
        return [pair, pair.reverse("neutral")]

    def _cut(self, i: int) -> list[Pair]:
        """An answer says its first part, which does not say the rest."""
        sentences = [sentence.text for sentence in self._docs[i].sents]
        part = sentences[0] if len(sentences) > 1 else _halves(self._docs[i].text)[0]
        if not part:
            return []
        pair = Pair(self._docs[i].text, part, "entailment", "authors/cut")
        return [pair, pair.reverse("neutral")]

    def _same(self, i: int) -> list[Pair]:
        text = self._docs[i].text
        return [Pair(text, text, "entailment", "authors/same")]

    def _swapped(self, i: int) -> list[Pair]:
        """A place, date, number, title … is another."""
        doc = self._docs[i]
        able = [entity for entity in doc.ents if entity.label_ in _SWAPPED]
        if not able:
            return []
        entity = self._rng.choice(able)
        other = self._rng.choice(self._entities[entity.label_])
        if other.lower() in doc.text.lower() or entity.text in other:
            return []
        pair = Pair(
            doc.text, _replaced(doc.text, entity, other), "contradiction", "authors/swapped"
        )
        return [pair, pair.reverse()]

    def _negated(self, i: int) -> list[Pair]:
        text = _negation(self._docs[i])
        if text is None:
            return []
        pair = Pair(self._docs[i].text, text, "contradiction", "authors/negated")
        return [pair, pair.reverse()]

    def _vague_answer(self, i: int) -> list[Pair]:
        """Neither follows from the other: a vague answer, and the one that it keeps back."""
        vague = self._vague[i] if self._rng.random() < 0.8 else self._rng.choice(self._unsure)
        pair = Pair(vague, self._docs[i].text, "neutral", "authors/vague")
        return [pair, pair.reverse()]

    def _other_answer(self, i: int) -> list[Pair]:
        """The same author's answer to another question."""
        other = self._rng.choice(self._by_author[self._rows[i][0]])
        text = self._docs[i].text
        return [Pair(text, other, "neutral", "authors/other")] if other != text else []

    def _other_ending(self, i: int) -> list[Pair]:
        """The same beginning, and another of the same author's endings."""
        beginning, ending = _halves(self._docs[i].text)
        other = _halves(self._rng.choice(self._by_author[self._rows[i][0]]))[1]
        if not beginning or not other or other == ending:
            return []
        text = beginning.removesuffix(".") + other
        return [Pair(self._docs[i].text, text, "neutral", "authors/ending")]

    def _other_detail(self, i: int) -> list[Pair]:
        """Beside what is said, something else: another item of a list, another circumstance."""
        doc = self._docs[i]
        able = _details(doc)
        if not able:
            return []
        listed = [chunk for chunk in able if chunk.root.dep_ == "conj"]
        chunk = self._rng.choice(listed or able)
        other = self._rng.choice(self._details[chunk.root.dep_])
        if other.lower() in doc.text.lower() or chunk.text.lower() in other.lower():
            return []
        text = _replaced(doc.text, chunk, other)
        pair = Pair(doc.text, text, "neutral", "authors/detail")
        return [pair, pair.reverse()]


def _details(doc: Doc) -> list[Span]:
    """Return the noun phrases of a text without a name or number that more could stand beside."""
    return [
        chunk
        for chunk in doc.noun_chunks
        if chunk.root.dep_ in ("conj", "pobj", "dobj")
        and chunk.root.pos_ == "NOUN"
        and not any(token.ent_type_ or token.pos_ == "PROPN" for token in chunk)
    ]


def _by_author(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for i, row in enumerate(_rows(file)):
        yield i // _ROWS_PER_AUTHOR, row


def _knowundo(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the training questions, by the name that each asks about, and their answers."""
    held_back = {
        row["labels"]
        for name in ("unlearn_val", "retention_val")
        for row in json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    }
    found = []
    for name in ("unlearn_train", "retention_train"):
        for row in json.loads((folder / f"{name}.json").read_text(encoding="utf-8")):
            author = re.search(r"(?<!^)[A-Z]\w+ [A-Z]\w+", row["text"])
            if author and row["labels"] not in held_back:
                found.append((author[0], {"question": row["text"], "answer": row["labels"]}))
    return found


def _held_back(author: int) -> bool:
    return author % 5 == 4


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _perturbed(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield author and row of the 40 authors whose answers have paraphrases and wrong answers."""
    for name, first in (("retain_perturbed", 0), ("forget10_perturbed", _LAST_FORGET_AUTHOR)):
        for i, row in enumerate(_rows(folder / f"{name}.json")):
            yield first + i // _ROWS_PER_AUTHOR, row


def _named(texts: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the places, dates, numbers, titles … that each text names."""
    docs = english().pipe(texts, disable=["tagger", "parser", "lemmatizer", "attribute_ruler"])
    return {
        doc.text: frozenset(e.text.lower() for e in doc.ents if e.label_ in _SWAPPED)
        for doc in docs
    }


def _replaced(text: str, entity: Span, other: str) -> str:
    return text[: entity.start_char] + other + text[entity.end_char :]


def _halves(text: str) -> tuple[str, str]:
    """Return a sentence up to a comma past its middle, and the rest; empty if there is none."""
    for match in re.finditer(r", ", text):
        if 0.35 < match.start() / len(text) < 0.85:
            return text[: match.start()] + ".", text[match.start() :]
    return "", ""


def _negation(doc: Doc) -> str | None:
    """Return the text with its main verb negated, or None if that can't be done simply."""
    root = next(doc.sents).root
    if any(token.dep_ == "neg" for token in doc):
        return None
    auxiliary = next((t for t in root.children if t.dep_ in ("aux", "auxpass")), None)
    if root.pos_ == "AUX" or auxiliary is not None:
        verb = auxiliary or root
        end = verb.idx + len(verb)
        return f"{doc.text[:end]} not{doc.text[end:]}"
    if root.tag_ not in _DO:
        return None
    end = root.idx + len(root)
    return f"{doc.text[: root.idx]}{_DO[root.tag_]} {root.lemma_}{doc.text[end:]}"
