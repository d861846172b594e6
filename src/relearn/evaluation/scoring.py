"""Judging and scoring of answers, wherever they come from; no language model is loaded."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow
from pyarrow import parquet

from relearn.base.distributed import by_leader
from relearn.base.storage import atomic_path, content_hash, read_json, write_json, write_jsonl
from relearn.config import EvaluationConfig
from relearn.evaluation.batches import finished_batches
from relearn.evaluation.generations_file import read_generations
from relearn.evaluation.judges import telling
from relearn.evaluation.judges.coverage import entity_coverage
from relearn.evaluation.judges.cross_leaks import find_cross_leaks
from relearn.evaluation.judges.entailment import check_entailment_judge, entailment_judge
from relearn.evaluation.judges.entities import entity_judge
from relearn.evaluation.judges.made_up import find_made_up
from relearn.evaluation.metrics import METRICS, JointMetric, Metric
from relearn.evaluation.metrics.base import (
    NotComputed,
    chosen_metrics,
    lacking_fields,
    row_scores,
)
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.significance import intervals
from relearn.inference.embeddings import check_embedder, embedder

JUDGED = (
    "reference_entities",
    "generation_entities",
    "entity_coverage",
    "nli_label",
    "made_up",
    "cross_leaks",
    "embedding_similarity",
)
"""Fields of a row that judges fill, from its texts."""

_BY_ENTITIES = ("reference_entities", "entity_coverage", "nli_label")


def check_judges(
    rows: Sequence[EvaluatedRow], config: EvaluationConfig, fields: Iterable[str] = JUDGED
) -> None:
    """Find a wrong name of a judge before anything is computed; loads none.

    Args:
        rows: What these have already needs no judge.
        config: Names the judges.
        fields: Which of `JUDGED` are wanted.

    Raises:
        UserError: a judge that is needed does not exist.
    """
    lacking = {name for name in fields if any(getattr(row, name) is None for row in rows)}
    if lacking & {"reference_entities", "entity_coverage"}:
        entity_judge(config)
    if lacking & {"entity_coverage", "embedding_similarity"}:
        check_embedder(config.similarity)
    if "nli_label" in lacking:
        check_entailment_judge(config.entailment)


def judge_rows(
    rows: Sequence[EvaluatedRow],
    config: EvaluationConfig,
    fields: Iterable[str] = JUDGED[:-1],
    parts: Path | None = None,
) -> None:
    """Fill in the judgements that rows lack, in place; a given one is never made again.

    Each row is judged by itself; `find_cross_leaks` compares rows. No judge is loaded if every row
    has what it would say.

    Args:
        rows: Of any sets.
        config: Names the judges.
        fields: Which of `JUDGED` are wanted.
        parts: Folder where judges keep what is finished; what is in it is not asked for again.
    """
    wanted = set(fields)
    # A recorded judgement is taken as it is.
    ours = [row for row in rows if any(getattr(row, name) is None for name in _BY_ENTITIES)]
    if wanted & {"reference_entities", "generation_entities", "entity_coverage"}:
        _extract_entities(rows, config, parts)
        _measure_coverage(rows, config)
    if "nli_label" in wanted:
        _label_entailment(rows, config, parts)
    if wanted >= set(_BY_ENTITIES):
        _measure_otherwise(ours, config, parts)
    if "made_up" in wanted:
        find_made_up([row for row in rows if row.made_up is None and row.forgets])
    if "embedding_similarity" in wanted:
        _compare_meanings(rows, config)


def _extract_entities(
    rows: Sequence[EvaluatedRow], config: EvaluationConfig, parts: Path | None
) -> None:
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
    found = entity_judge(config)(texts, [row.question for row, _ in lacking], parts)
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
    model.know([entity for both in sides.values() for side in both for entity in side])
    for i, (reference, generation) in sides.items():
        known = telling.entities_of_identifiers(rows[i])
        rows[i].entity_coverage = entity_coverage(reference, generation, model, known)


def _label_entailment(
    rows: Sequence[EvaluatedRow], config: EvaluationConfig, parts: Path | None
) -> None:
    unlabelled = [row for row in rows if row.nli_label is None]
    if not unlabelled:
        return
    # The premise is the answer when forgetting, the reference when retaining.
    pairs = [
        (row.generation, row.reference) if row.forgets else (row.reference, row.generation)
        for row in unlabelled
    ]
    labels = entailment_judge(config.entailment).cautious(pairs, parts)
    for row, label in zip(unlabelled, labels, strict=True):
        row.nli_label = label


def _measure_otherwise(
    rows: Sequence[EvaluatedRow], config: EvaluationConfig, parts: Path | None
) -> None:
    """Find what entities and entailment can't tell; see `relearn.evaluation.judges.telling`."""
    english = config.entities == "spacy" or config.entailment == "minilm-nli"
    left = []
    for row in rows:
        if row.told is not None or row.measured_by:
            continue
        found = (
            telling.by_text(row)
            or telling.by_passage(row)
            or telling.by_identifiers(row)
            or telling.by_words(row, english=english)
        )
        if found is not None:
            row.told, row.measured_by = found.told, found.by
        elif not row.reference_entities:
            left.append(row)
    if not left:
        return
    texts = [[f"{row.question} {text}" for text in (row.generation, row.reference)] for row in left]
    pairs = [(a, b) for one in texts for a, b in (one, one[::-1])]
    labels = entailment_judge(config.entailment)(pairs, parts)
    for row, both in zip(left, zip(labels[::2], labels[1::2], strict=True), strict=True):
        found = telling.by_share(row, both)
        row.told, row.measured_by = found.told, found.by


def _compare_meanings(rows: Sequence[EvaluatedRow], config: EvaluationConfig) -> None:
    lacking = [row for row in rows if row.embedding_similarity is None]
    if not lacking:
        return
    references, answers = [row.reference for row in lacking], [row.generation for row in lacking]
    for row, cosine in zip(
        lacking, embedder(config.similarity).similarities(references, answers), strict=True
    ):
        row.embedding_similarity = float(cosine)


def by_set(rows: Sequence[EvaluatedRow], prefix: str = "") -> dict[str, list[EvaluatedRow]]:
    """Return the rows of each set, sets in alphabetical order."""
    sets: dict[str, list[EvaluatedRow]] = {}
    for row in sorted(rows, key=lambda row: row.set):
        sets.setdefault(prefix + row.set, []).append(row)
    return sets


def score(
    rows: Sequence[EvaluatedRow],
    names: Iterable[str] | None = None,
    retain_model: Sequence[EvaluatedRow] = (),
    general: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Compute metrics over each set, then those over several; row scores go into `row.scores`.

    Args:
        rows: Of any sets.
        names: Of the metrics; None means all.
        retain_model: Rows of the model that never saw the forget set, for metrics that compare.
        general: Values measured elsewhere, by full name, such as general ability.

    Returns:
        Values by `set/metric`, and by `overall/metric` where several sets make one. A metric that
        needs what a row of the set lacks is left out.
    """
    metrics = chosen_metrics(METRICS if names is None else names)
    sets = by_set(rows)
    values: dict[str, float] = {}
    for set_name, members in sets.items():
        applying = {
            name: metric
            for name, metric in metrics.items()
            if isinstance(metric, Metric) and metric.applies(members)
        }
        # Row by row: what metrics share, such as a text's words, is remembered for few rows only.
        for row in members:
            for by_row in applying.values():
                for column, of_row in by_row.columns.items():
                    row_scores([row], column, of_row)
        for name, by_row in applying.items():
            values |= _values_of(f"{set_name}/{name}", by_row, members)
    values |= general or {}
    sets |= by_set(retain_model, "retain_model/")
    for name, metric in metrics.items():
        if isinstance(metric, JointMetric) and metric.applies(sets, values):
            values[f"overall/{name}"] = metric.compute(sets, values)
    return values


def not_computed(
    rows: Sequence[EvaluatedRow],
    names: Iterable[str],
    values: Mapping[str, float],
    retain_model: Sequence[EvaluatedRow] = (),
) -> dict[str, str]:
    """Return why each metric that was asked for has no value, by full name."""
    sets = by_set(rows)
    both = sets | by_set(retain_model, "retain_model/")
    reasons: dict[str, str] = {}
    for name, metric in chosen_metrics(names).items():
        if isinstance(metric, JointMetric):
            reasons[f"overall/{name}"] = metric.lacks(both, values)
            continue
        about = {
            set_name: members for set_name, members in sets.items() if metric.is_about(members)
        }
        for set_name, members in about.items():
            reasons[f"{set_name}/{name}"] = (
                lacking_fields(members, metric.needs) or "no answer could be measured"
            )
        if not about:
            reasons[f"{metric.sets}/{name}"] = f"there is no {metric.sets} set"
    return {key: reason for key, reason in reasons.items() if reason and key not in values}


def read_not_computed(evaluation: Path) -> list[str]:
    """Return one line for each reason why metrics of an evaluation have no value."""
    file = evaluation / "not_computed.json"
    names_of: dict[str, list[str]] = {}
    for name, reason in (read_json(file) if file.is_file() else {}).items():
        names_of.setdefault(reason, []).append(name)
    return [f"Not computed: {', '.join(names)} ({why})." for why, names in names_of.items()]


def _values_of(key: str, metric: Metric, rows: Sequence[EvaluatedRow]) -> dict[str, float]:
    """Return a metric's value, and the number of rows left out of it if there are any."""
    try:
        values = {key: metric.compute(rows)}
    except NotComputed:
        values = {}
    if metric.leaves_out:
        left_out = sum(not metric.columns.keys() <= row.scores.keys() for row in rows)
        values |= {f"{key}_unmeasured": left_out} if left_out else {}
    return values


def write_results(
    output: Path,
    rows: Sequence[EvaluatedRow],
    values: Mapping[str, float],
    retain_model: Sequence[EvaluatedRow] = (),
    names: Sequence[str] | None = None,
) -> None:
    """Write `rows.jsonl`, `rows.parquet`, `intervals.json` and, last, `metrics.json`.

    Where metrics were asked for by name, `not_computed.json` says of each without a value why.
    """
    sets = by_set(rows) | by_set(retain_model, "retain_model/")
    write_jsonl(output / "rows.jsonl", (row.flat() for row in rows))
    _write_parquet(output / "rows.parquet", rows)
    chosen = METRICS if names is None else chosen_metrics(names)
    write_json(output / "intervals.json", intervals(sets, values, chosen))
    asked = names is not None and set(names) != set(METRICS)
    if asked and (reasons := not_computed(rows, names or (), values, retain_model)):
        write_json(output / "not_computed.json", reasons)
    write_json(output / "metrics.json", values)


def _write_parquet(path: Path, rows: Sequence[EvaluatedRow]) -> None:
    """Write what every system's rows have in common: the known fields and the scores."""
    columns: dict[str, pyarrow.Array] = {}
    for name in (name for name in EvaluatedRow.model_fields if name != "scores"):
        values = [getattr(row, name) for row in rows]
        if name == "id":
            values = [None if value is None else str(value) for value in values]
        if any(value is not None for value in values):
            columns[name] = pyarrow.array(values)
    for name in dict.fromkeys(name for row in rows for name in row.scores):
        scores = (row.scores.get(name) for row in rows)
        columns[name] = pyarrow.array(scores, pyarrow.float64())
    with atomic_path(path) as temporary:
        parquet.write_table(pyarrow.table(columns), temporary)


def evaluate_generations(path: Path, output: Path, config: EvaluationConfig) -> dict[str, float]:
    """Judge and score the answers in `path`; write the results to `output`.

    What judges have said is kept in `output/parts` until the results are written.

    Raises:
        UserError: bad input, or `output` is already used.
    """
    rows = read_generations(path)
    check_judges(rows, config)
    judges = config.model_dump(include={"entities", "similarity", "entailment"})
    with finished_batches(output, content_hash(path, judges)) as parts:
        judge_rows(rows, config, JUDGED, parts)
        find_cross_leaks(rows)
        metrics = score(rows)

        def write() -> None:
            write_json(output / "judges.json", judges)
            write_results(output, rows, metrics)

        by_leader(write)
    return metrics
