"""What the offline judges can be expected to agree on with the paper's record, on other answers.

`python -m tools.judge_agreement --record FILE`. Ten folds by subject, so that no answers about one
person are on both sides. What was chosen with the record in view is chosen again without the fold:
the general nouns, as those that the record's extractor leaves out more often than not, and the
probability from which on a contradiction counts, as the one with as many contradictions as the
record has. Each row is judged with what the other folds chose. The intervals are of 2,000 draws of
subjects.
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from relearn.base.storage import read_json
from relearn.config import EvaluationConfig
from relearn.evaluation.judges import entities
from relearn.evaluation.judges.entailment import entailment_judge, likeliest
from relearn.evaluation.metrics.knowledge import is_forgotten, is_retained
from relearn.evaluation.rows import EntailmentLabel, EvaluatedRow
from relearn.evaluation.scoring import judge_rows

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
SIDES = ("reference", "generation")

Labels = Sequence[EntailmentLabel]


@dataclass(frozen=True)
class Recorded:
    """A row of the record, and who it is about."""

    row: EvaluatedRow
    entities: dict[str, set[str]]
    nli_label: EntailmentLabel
    label: bool
    subject: str


def main() -> None:
    """Print agreement and rates on the folds that were not chosen on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5, help="Divisions into folds.")
    options = parser.parse_args()
    recorded = read_record(options.record)
    probabilities = entailment_judge("minilm-nli").probabilities([_pair(r.row) for r in recorded])
    with patch.object(entities, "_GENERAL", frozenset()):
        words = {side: _entities(recorded, side) for side in SIDES}
    kinds = ("likeliest label", "chosen threshold", "record's labels")
    found: dict[str, list[list[bool]]] = {kind: [] for kind in kinds}
    chosen: Counter[float] = Counter()
    for seed in range(options.repeats):
        final = {kind: [False] * len(recorded) for kind in kinds}
        for train, test in folds([r.subject for r in recorded], seed):
            general = general_nouns(recorded, words, train)
            threshold = as_often([recorded[i].nli_label for i in train], probabilities[train])
            chosen[threshold] += 1
            labels = (
                likeliest(probabilities[test]),
                likeliest(probabilities[test], threshold),
                [recorded[i].nli_label for i in test],
            )
            with patch.object(entities, "_GENERAL", general):
                named = {side: _entities([recorded[i] for i in test], side) for side in SIDES}
            for kind, given in zip(kinds, labels, strict=True):
                judged = judge_labels([recorded[i].row for i in test], named, given)
                for i, label in zip(test, judged, strict=True):
                    final[kind][i] = label
        for kind in kinds:
            found[kind].append(final[kind])
    print("thresholds chosen:", dict(sorted(chosen.items())))
    for kind in kinds:
        print(kind)
        for line in figures(recorded, np.array(found[kind])):
            print("  ", line)


def read_record(file: Path) -> list[Recorded]:
    """Return the rows of a record; the subject is the name that comes in most rows."""
    record: dict[str, Any] = read_json(file)
    rows = [(name, row) for name in ("forget", "retain") for row in record[name]]
    named = [
        {
            name.removesuffix("'s").removesuffix("'")
            for text in (row["query"], row["reference"])
            for name in re.findall(r"\b[A-Z][\w'-]+ [A-Z][\w'-]+", text)
        }
        for _, row in rows
    ]
    often = Counter(name for names in named for name in names)
    return [
        Recorded(
            EvaluatedRow(set=name, question=row["query"], **{side: row[side] for side in SIDES}),
            {
                side: set(re.findall(r"\w+", " ".join(row[f"{side}_entities"]).lower()))
                for side in SIDES
            },
            row["nli_label"],
            bool(row["label"]),
            max(sorted(names), key=often.__getitem__, default=row["query"]),
        )
        for (name, row), names in zip(rows, named, strict=True)
    ]


def folds(subjects: Sequence[str], seed: int, count: int = 10) -> list[tuple[list[int], list[int]]]:
    """Divide rows by subject; return the rows to choose on and those to try on, `count` times."""
    names = sorted(set(subjects))
    random.Random(seed).shuffle(names)
    fold = {name: i % count for i, name in enumerate(names)}
    numbers = [fold[subject] for subject in subjects]
    return [
        (
            [i for i, number in enumerate(numbers) if number != n],
            [i for i, number in enumerate(numbers) if number == n],
        )
        for n in range(count)
    ]


def general_nouns(
    recorded: Sequence[Recorded], words: dict[str, list[list[str]]], train: Sequence[int]
) -> frozenset[str]:
    """Return the words, seen twice or more, that the record leaves out more often than not."""
    seen: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for side in SIDES:
        for i in train:
            seen.update(words[side][i])
            kept.update(recorded[i].entities[side] & set(words[side][i]))
    return frozenset(word for word, n in seen.items() if n > 1 and kept[word] < n / 2)


def as_often(labels: Labels, probabilities: NDArray[np.float32]) -> float:
    """Return the threshold with the number of contradictions nearest to that of `labels`."""
    wanted = list(labels).count("contradiction")
    return min(
        THRESHOLDS,
        key=lambda t: (abs(likeliest(probabilities, t).count("contradiction") - wanted), t),
    )


def judge_labels(
    rows: Sequence[EvaluatedRow], named: dict[str, list[list[str]]], labels: Labels
) -> list[bool]:
    """Return whether each row is forgotten or retained, given its entities and its label."""
    given = [
        row.model_copy(
            update={"nli_label": label, "reference_entities": a, "generation_entities": b}
        )
        for row, label, a, b in zip(rows, labels, *(named[side] for side in SIDES), strict=True)
    ]
    judge_rows(given, EvaluationConfig())
    return [bool(is_forgotten(row) if row.forgets else is_retained(row)) for row in given]


def figures(recorded: Sequence[Recorded], found: NDArray[np.bool_]) -> list[str]:
    """Return agreement and rates of each set, with intervals; `found` is (repeats, rows)."""
    labels = np.array([r.label for r in recorded])
    forgets = np.array([r.row.forgets for r in recorded])
    subjects = np.array([r.subject for r in recorded])
    names, rng = np.unique(subjects), np.random.default_rng(0)
    rows_of = {name: np.flatnonzero(subjects == name) for name in names}
    draws = [
        np.concatenate([rows_of[name] for name in rng.choice(names, len(names))])
        for _ in range(2000)
    ]
    agree, rate = (found == labels).mean(axis=0), found.mean(axis=0)
    lines = []
    for name, of_set in (("forget", forgets), ("retain", ~forgets)):
        parts = [f"record {labels[of_set].mean():.3f}"]
        for what, values in (("agree", agree), ("rate", rate), ("off by", rate - labels)):
            drawn = [values[draw][of_set[draw]].mean() for draw in draws]
            low, high = np.percentile(drawn, [2.5, 97.5])
            parts.append(f"{what} {values[of_set].mean():.3f} ({low:.3f} to {high:.3f})")
        lines.append(f"{name}: {', '.join(parts)}")
    return [*lines, f"both: agree {agree.mean():.3f}"]


def _pair(row: EvaluatedRow) -> tuple[str, str]:
    pair = (row.generation, row.reference)
    return pair if row.forgets else pair[::-1]


def _entities(recorded: Sequence[Recorded], side: str) -> list[list[str]]:
    texts = [getattr(r.row, side) for r in recorded]
    return entities.spacy_entities(texts, [r.row.question for r in recorded])


if __name__ == "__main__":
    main()
