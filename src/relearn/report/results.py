"""A finished run folder, read whole; whatever stage is absent is empty."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from relearn.base.errors import UserError
from relearn.base.storage import read_json, read_jsonl
from relearn.config import NEVER_SAW, RUN_SETS, RunConfig, load_config
from relearn.data.new_answers import (
    AUGMENTED,
    REJECTED,
    NewAnswer,
    Rejected,
    read_new_answers,
    read_rejected,
)
from relearn.evaluation.scoring import read_not_computed
from relearn.report.audit import AuditFigures, read_audit
from relearn.report.glossary import METHODS, order

Row = dict[str, Any]

REDACTED = "[redacted]"
MOST_EXAMPLES = 2000
"""Questions of a set that are kept with their answers; a page of many more can't be opened."""

_SHOWN = ("nli_label", "rougeL_recall", "entity_coverage", "perplexity")


@dataclass(frozen=True)
class ModelResults:
    """What is known of one model.

    Attributes:
        key: Its folder's name: "target", "unlearned", or a baseline's.
        label: Its name for readers.
        metrics: Finite figures by flat key ("forget/kfr").
        history: One row per optimizer step; empty for the target.
        intervals: 95 % bootstrap interval (low, high) of a figure, by flat key.
        p_values: Of the paired test against the target, by flat key.
        not_computed: Which of the suite's metrics have no value and why, a line for each reason.
        rows: How many questions of each set it was asked.
    """

    key: str
    label: str
    metrics: dict[str, float]
    history: list[Row] = field(default_factory=list)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    p_values: dict[str, float] = field(default_factory=dict)
    not_computed: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """One question and what every model answered.

    Attributes:
        set: The evaluated set that it belongs to.
        id: The record's id, where there is one.
        question: None when redacted.
        reference: None when redacted.
        answers: By model: `generation` (None when redacted), `good` (forgotten on a forget set,
            retained on a retain set; None where not judged), `nli_label` and scores.
    """

    set: str
    id: str | None
    question: str | None
    reference: str | None
    answers: dict[str, Row]


@dataclass(frozen=True)
class RunResults:
    """All that a report tells of a run.

    Attributes:
        name: The run's name.
        config: The run's configuration.
        manifest: Versions, hashes, host and timings.
        models: Target, unlearned and baselines, in this order.
        examples: The evaluated questions, with every model's answer; of a set of more than
            `MOST_EXAMPLES` so many, evenly spread over it.
        augmented: Synthesised rows that were used.
        rejected: Synthesised candidates that were not.
        reject_reasons: How many were rejected for which reason, the most frequent first.
        synthesis_counts: Synthesis's own summary, flattened.
        unanswered: Ids of the forget records that the unlearned model was given no new answer for.
        audit: What attacks got out of the models; None where none were made.
        sequence: How each deletion request so far came out; see `relearn.earlier.sequence`.
    """

    name: str
    config: RunConfig
    manifest: dict[str, Any]
    models: list[ModelResults]
    examples: list[Example]
    augmented: list[NewAnswer]
    rejected: list[Rejected]
    reject_reasons: dict[str, int]
    synthesis_counts: dict[str, Any]
    unanswered: list[str] = field(default_factory=list)
    audit: AuditFigures | None = None
    sequence: list[Row] = field(default_factory=list)

    @property
    def questions(self) -> int:
        """How many questions were asked, whether they are among the examples or not."""
        return max(len(self.examples), *(sum(model.rows.values()) for model in self.models))

    def model(self, key: str) -> ModelResults | None:
        """Return the model in the folder `key`, if it was evaluated."""
        return next((model for model in self.models if model.key == key), None)

    def metric(self, model: str, key: str) -> float | None:
        """Return one figure of one model, None where it was not measured."""
        found = self.model(model)
        return found.metrics.get(key) if found else None

    def redacted(self) -> "RunResults":
        """Return the same results without any text of the data, a model or the synthesis.

        Redaction takes the texts away before anything is rendered, so that no template can show
        one by mistake. Names that a user chose may speak of the data too, so they go as well.
        """
        return replace(
            self,
            name=REDACTED,
            config=redacted_config(self.config),
            manifest=redacted_manifest(self.manifest),
            examples=[_redacted_example(example) for example in self.examples],
            augmented=[
                NewAnswer(source_id="", question="", answer="", kind=row.kind)
                for row in self.augmented
            ],
            # A reason may quote what it found; only the number of rejects is safe to show.
            rejected=[Rejected(source_id="", question="", kind="", reason="")] * len(self.rejected),
            reject_reasons={},
            synthesis_counts={},
            audit=self.audit.redacted() if self.audit else None,
            sequence=[entry | {"run": REDACTED} for entry in self.sequence],
        )


def read_results(folder: Path) -> RunResults:
    """Read the run folder `folder`.

    Raises:
        UserError: it is no run folder, or nothing has been evaluated in it yet.
    """
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder} is no run folder.", "Name the --output folder of a run.")
    config = load_config(folder / "config.yaml", [])
    models = _read_models(folder, config)
    if not models:
        raise UserError(f"nothing is evaluated in {folder} yet.", "Finish the run first.")
    synthesis, summary = folder / "synthesis", _json(folder / "summary.json")
    rejected = read_rejected(synthesis / REJECTED)
    return RunResults(
        name=folder.resolve().name,
        config=config,
        manifest=_json(folder / "manifest.json"),
        models=models,
        examples=_read_examples(folder, models),
        augmented=read_new_answers(synthesis / AUGMENTED),
        rejected=rejected,
        reject_reasons=dict(Counter(row.reason for row in rejected).most_common()),
        synthesis_counts=flatten(_json(synthesis / "summary.json")),
        unanswered=summary.get("unanswered", {}).get("unlearned", []),
        audit=read_audit(folder),
        sequence=summary.get("sequence", []),
    )


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by dotted key; a list is a leaf."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def _read_models(folder: Path, config: RunConfig) -> list[ModelResults]:
    evaluated = sorted(path.parent.name for path in folder.glob("evaluation/*/metrics.json"))
    known = ["target", *config.trainings]
    labels = _labels(evaluated, config)
    return [
        ModelResults(
            key=key,
            label=labels[key],
            metrics=_finite(_json(folder / "evaluation" / key / "metrics.json")),
            history=_jsonl(folder / "training" / key / "history.jsonl"),
            intervals={
                name: (found["low"], found["high"])
                for name, found in _json(folder / "evaluation" / key / "intervals.json").items()
            },
            p_values={
                name: found["p_value"]
                for name, found in _json(folder / "evaluation" / key / "comparison.json")
                .get("target", {})
                .items()
            },
            not_computed=read_not_computed(folder / "evaluation" / key),
            rows=dict(Counter(row["set"] for row in _each_row(folder, key))),
        )
        for key in sorted(evaluated, key=lambda key: (*known, key).index(key))
    ]


def _read_examples(folder: Path, models: list[ModelResults]) -> list[Example]:
    """Join the models' rows: by set, id and question, so that a missing row shifts no answer."""
    every = {name: -(-count // MOST_EXAMPLES) for name, count in models[0].rows.items()}
    examples: dict[tuple[str, str | None, str], Example] = {}
    for model in models:
        places: Counter[str] = Counter()
        for row in _each_row(folder, model.key):
            key, step = (row["set"], row.get("id"), row["question"]), every.get(row["set"], 1)
            # Of a large set the first model's rows say which are kept.
            chosen = step == 1 or (model is models[0] and places[row["set"]] % step == 0)
            places[row["set"]] += 1
            if chosen or key in examples:
                example = examples.setdefault(key, Example(*key, row["reference"], {}))
                example.answers[model.key] = _answer(row)
    return sorted(examples.values(), key=lambda example: order(example.set))


def _each_row(folder: Path, model: str) -> Iterator[Row]:
    """Yield a model's evaluated rows one by one: there may be more than memory holds."""
    file = folder / "evaluation" / model / "rows.jsonl"
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _answer(row: Row) -> Row:
    good = row.get("forgotten" if row["set"].startswith("forget") else "retained")
    scores = {name: row[name] for name in _SHOWN if row.get(name) is not None}
    return {"generation": row["generation"], "good": None if good is None else bool(good)} | scores


def _labels(models: list[str], config: RunConfig) -> dict[str, str]:
    """Return what readers call the models; charts and tables know a model by it, so all differ."""
    labels = {key: _label(key, config) for key in models}
    shared = {label for label, count in Counter(labels.values()).items() if count > 1}
    return {k: f"{label} ({k})" if label in shared else label for k, label in labels.items()}


def _label(key: str, config: RunConfig) -> str:
    if key == "target":
        return "Target"
    if key == NEVER_SAW:
        return "Never saw it"
    if key == "unlearned":
        method = config.training.objective
        return f"Unlearned ({METHODS.get(method, method)})"
    return METHODS.get(key, key)


def _finite(metrics: dict[str, Any]) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in metrics.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _jsonl(path: Path) -> list[Row]:
    return read_jsonl(path) if path.is_file() else []


def redacted_config(config: RunConfig) -> RunConfig:
    """Return the configuration without names that may speak of the data."""
    named: dict[str, Any] = {
        name: REDACTED for name in RUN_SETS if getattr(config.data, name) is not None
    }
    named["only"] = [REDACTED for _ in config.data.only]
    retain_model = config.evaluation.retain_model and REDACTED
    system = None if config.model.system is None else REDACTED
    # A file of one's own may be named after somebody.
    options = {
        attack: {k: REDACTED if isinstance(v, str) else v for k, v in knobs.items()}
        for attack, knobs in (config.audit.options if config.audit else {}).items()
    }
    audit = config.audit and config.audit.model_copy(update={"options": options})
    return config.model_copy(
        update={
            "audit": audit,
            "after": config.after and REDACTED,
            "data": config.data.model_copy(update=named),
            "evaluation": config.evaluation.model_copy(update={"retain_model": retain_model}),
            "extensions": [REDACTED for _ in config.extensions],
            "model": config.model.model_copy(update={"system": system}),
        }
    )


def redacted_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest without the places that the data came from."""
    data = {name: entry | {"source": REDACTED} for name, entry in manifest.get("data", {}).items()}
    return manifest | {"data": data}


def _redacted_example(example: Example) -> Example:
    answers = {model: answer | {"generation": None} for model, answer in example.answers.items()}
    return replace(example, question=None, reference=None, answers=answers)
