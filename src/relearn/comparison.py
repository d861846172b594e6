"""The comparison: every objective on the same data, target model and evaluation."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relearn.base.distributed import by_leader
from relearn.base.errors import UserError
from relearn.base.private import private_files
from relearn.base.storage import write_json, write_text
from relearn.config import UNLEARNED, RunConfig, TrainingConfig
from relearn.objectives import OBJECTIVES
from relearn.run import metrics_by_model, run


@private_files()
def compare(
    config: RunConfig, names: Sequence[str], output: Path
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Train and evaluate each of `names` in one run; what was done before is not done again.

    Writes, beside the run's own files, `compare.json` and `compare.csv`. The former says too
    which forget records a model was given no new answer for: `unanswered`, by name.

    Args:
        config: Settings of `names` are those of its baseline of that name, else those of
            `training` with the objective's own defaults.
        names: Objectives, or baselines of `config`; none means all of its baselines, and where it
            has none, all objectives.
        output: Run folder.

    Returns:
        One row a model, the target first: `name`, `objective` (None for the target) and the
        figures of every metric and `seconds`; and by name, why a model could not be trained.

    Raises:
        UserError: a name is neither an objective's nor a baseline's, or the first one's training
            fails; and whatever else `run` raises. A setting of one of them is called
            `baselines.NAME.…`, the first one's as well.
    """
    trainings = _trainings(config, names)
    # A run trains one model and its baselines; here all are equal, and the first takes that place.
    (first, training), *others = trainings.items()
    # `relearn audit` attacks the compared models, where that is wanted.
    own = {"training": training, "baselines": dict(others), "audit": None}
    settings = config.model_copy(update=own)
    try:
        summary = run(settings, output, keep_going=True)
    except UserError as error:
        if not error.problem.startswith("training."):
            raise
        raise error.in_section(f"baselines.{first}") from error
    rows = []
    for model, metrics in metrics_by_model(summary).items():
        name = first if model == UNLEARNED else model
        objective = trainings[name].objective if name in trainings else None
        seconds = summary["seconds"].get(f"training/{model}")
        rows.append({"name": name, "objective": objective} | metrics | {"seconds": seconds})
    failed = summary["failed"]
    left = {first if k == UNLEARNED else k: ids for k, ids in summary["unanswered"].items()}

    def write() -> None:
        write_json(output / "compare.json", {"rows": rows, "failed": failed, "unanswered": left})
        write_text(output / "compare.csv", _csv(rows))

    by_leader(write)
    return rows, failed


def _trainings(config: RunConfig, names: Sequence[str]) -> dict[str, TrainingConfig]:
    chosen = {}
    # `sft` is what made the target know the forget set.
    for name in names or config.baselines or [name for name in OBJECTIVES if name != "sft"]:
        if name in config.baselines:
            chosen[name] = config.baselines[name]
            continue
        OBJECTIVES.named(name)
        own: dict[str, Any] = {
            "objective": name,
            "objective_options": {},
            "retain_regularizer": None,
        }
        chosen[name] = config.training.model_copy(update=own)
    return chosen


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
