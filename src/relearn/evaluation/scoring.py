"""Judging and scoring of answers, wherever they come from; no language model is loaded."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from pydantic import ValidationError

from relearn.config import EvaluationConfig
from relearn.errors import UserError
from relearn.evaluation.judges.entailment import entailment_judge
from relearn.evaluation.judges.entities import ENTITIES
from relearn.evaluation.judges.similarity import embedder, entity_coverage
from relearn.evaluation.metrics import METRICS
from relearn.evaluation.rows import EvaluatedRow
from relearn.storage import write_json, write_jsonl


def judge(rows: Sequence[EvaluatedRow], config: EvaluationConfig) -> None:
    """Fill in the judgements that rows lack, in place; a given one is never made again.

    No judge is loaded if every row has what it would say.
    """
    _extract_entities(rows, "reference", config)
    uncovered = [row for row in rows if row.entity_coverage is None]
    if uncovered:
        _extract_entities(uncovered, "generation", config)
        model = embedder(config.similarity)
        model.embed([e for row in uncovered for e in _entities(row, "reference")])
        model.embed([e for row in uncovered for e in _entities(row, "generation")])
        for row in uncovered:
            row.entity_coverage = entity_coverage(
                _entities(row, "reference"), _entities(row, "generation"), model
            )
    unlabelled = [row for row in rows if row.nli_label is None]
    if unlabelled:
        # The premise is the answer when forgetting, the reference when retaining.
        pairs = [
            (row.generation, row.reference) if row.forgets else (row.reference, row.generation)
            for row in unlabelled
        ]
        labels = entailment_judge(config.entailment)(pairs)
        for row, label in zip(unlabelled, labels, strict=True):
            row.nli_label = label


def _entities(row: EvaluatedRow, field: str) -> list[str]:
    return getattr(row, f"{field}_entities") or []


def _extract_entities(rows: Sequence[EvaluatedRow], field: str, config: EvaluationConfig) -> None:
    missing = [row for row in rows if getattr(row, f"{field}_entities") is None]
    if not missing:
        return
    extract = ENTITIES.named(config.entities)
    texts = [getattr(row, field) for row in missing]
    for row, found in zip(missing, extract(texts, [r.question for r in missing]), strict=True):
        setattr(row, f"{field}_entities", found)


def score(rows: Sequence[EvaluatedRow]) -> dict[str, float]:
    """Compute every metric over each set; per-row scores go into `row.scores`.

    Returns:
        Values by `set/metric`. A metric that needs what a row of the set lacks is left out.
    """
    values: dict[str, float] = {}
    for name, group in groupby(sorted(rows, key=lambda row: row.set), key=lambda row: row.set):
        members = list(group)
        for metric_name, metric in METRICS.items():
            if metric.applies(members):
                values[f"{name}/{metric_name}"] = metric.compute(members)
    return values


def read_generations(path: Path) -> list[EvaluatedRow]:
    """Read the answers that any system wrote, one JSON object a line.

    Raises:
        UserError: the file is missing or empty, or a line is bad; names line and field.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UserError(f"{path} can't be read: {reason}.", "Check --generations.") from error
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise UserError(f"{path} has no rows.", "Give one JSON object a line.")
    return rows


def _row(path: Path, number: int, line: str) -> EvaluatedRow:
    mend = 'Each line needs "set", "question", "reference" and "generation".'
    try:
        row = EvaluatedRow.model_validate(json.loads(line))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {number}: no JSON: {error.msg}.", mend) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the row"
        raise UserError(f"{path}, line {number}, {field}: {first['msg'].lower()}.", mend) from error
    return row


def evaluate_generations(path: Path, output: Path, config: EvaluationConfig) -> dict[str, float]:
    """Judge and score the answers in `path`; write `metrics.json` and `rows.jsonl` to `output`.

    Raises:
        UserError: bad input, or `output` is already used.
    """
    rows = read_generations(path)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"output folder {output} is already used.", "Choose another --output.")
    judge(rows, config)
    metrics = score(rows)
    write_jsonl(output / "rows.jsonl", [row.flat() for row in rows])
    write_json(output / "metrics.json", metrics)
    return metrics
