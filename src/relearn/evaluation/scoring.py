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
    _extract_entities(rows, config)
    _measure_coverage(rows, config)
    _label_entailment(rows, config)


def _extract_entities(rows: Sequence[EvaluatedRow], config: EvaluationConfig) -> None:
    # A given coverage makes the answer's entities needless, not the count of the reference's.
    lacking = [(row, "reference") for row in rows if row.reference_entities is None]
    lacking += [
        (row, "generation")
        for row in rows
        if row.entity_coverage is None and row.generation_entities is None
    ]
    if not lacking:
        return
    texts = [getattr(row, side) for row, side in lacking]
    found = ENTITIES.named(config.entities)(texts, [row.question for row, _ in lacking])
    for (row, side), entities in zip(lacking, found, strict=True):
        setattr(row, f"{side}_entities", entities)


def _measure_coverage(rows: Sequence[EvaluatedRow], config: EvaluationConfig) -> None:
    sides = {
        i: (row.reference_entities or [], row.generation_entities or [])
        for i, row in enumerate(rows)
        if row.entity_coverage is None
    }
    if not sides:
        return
    model = embedder(config.similarity)
    # One pass over every distinct entity; the rows then find theirs known.
    model.embed([entity for both in sides.values() for side in both for entity in side])
    for i, (reference, generation) in sides.items():
        rows[i].entity_coverage = entity_coverage(reference, generation, model)


def _label_entailment(rows: Sequence[EvaluatedRow], config: EvaluationConfig) -> None:
    unlabelled = [row for row in rows if row.nli_label is None]
    if not unlabelled:
        return
    # The premise is the answer when forgetting, the reference when retaining.
    pairs = [
        (row.generation, row.reference) if row.forgets else (row.reference, row.generation)
        for row in unlabelled
    ]
    labels = entailment_judge(config.entailment)(pairs)
    for row, label in zip(unlabelled, labels, strict=True):
        row.nli_label = label


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
    where = f"{path}, line {number}"
    mend = (
        'Each line needs "set", "question", "reference" and "generation"; '
        "other fields may be left out."
    )
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: no JSON: {getattr(error, 'msg', error)}.", mend) from error
    if not isinstance(fields, dict):
        raise UserError(f"{where}: no JSON object.", mend)
    for name, value in fields.items():
        # Python reads more than it can write again, NaN and halves of surrogate pairs among it.
        try:
            json.dumps({name: value}, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}, {ascii(name)[1:-1]}: no valid JSON value.", mend) from error
    try:
        # Strict: "0.5" and true are no numbers. Scores are computed, never taken over.
        return EvaluatedRow.model_validate(fields | {"scores": {}}, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}, {field}: {first['msg'].lower()}.", mend) from error


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
