"""The main job: from a forget set to a report, stage by stage in a run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relearn.base.distributed import OneProcessError, by_leader
from relearn.base.errors import UserError
from relearn.base.extensions import load_extensions
from relearn.base.progress import note
from relearn.base.storage import content_hash, read_json, write_json
from relearn.config import UNLEARNED, RunConfig, RunSet
from relearn.data.records import Record, dumped, normalized
from relearn.data.requests import EARLIER
from relearn.data.run_sets import read_run_sets
from relearn.data.sources import Source
from relearn.earlier import EarlierRun, sequence
from relearn.models.loading import tokenizer_named
from relearn.report import write_report
from relearn.run_folder import RunFolder
from relearn.stages import Stages


def run(
    config: RunConfig,
    output: Path,
    *,
    keep_going: bool = False,
    given: Mapping[RunSet, Source] | None = None,
) -> dict[str, Any]:
    """Do the whole job in the run folder `output`, or what is left of it.

    Args:
        config: The configuration.
        output: The run folder; a run that was killed is resumed.
        keep_going: If a baseline's training fails, continue without it.
        given: Sets that are not read from where `config.data` says, but given as objects.

    Returns:
        The run's summary, as in `summary.json`: metrics of the target, the unlearned model and
        the baselines; the baselines left out, with the reason; by training the forget records that
        got no new answer and stay in the model; how each deletion request so far came out, see
        `relearn.earlier.sequence`; seconds of each stage; peak memory in bytes.

    Raises:
        UserError: bad configuration, data, model or folder; nothing is written in these cases.
    """
    stages = stages_of(config, output, given)
    by_leader(stages.preflight)
    with stages.folder as folder:
        for stage in stages:
            try:
                folder.do(stage)
            except OneProcessError:
                raise
            except UserError as error:
                if not keep_going or not stages.leave_out(stage, error):
                    raise
        summary = _summary(stages)

        def finish() -> None:
            write_json(output / "summary.json", summary)
            # Rendered last and each time, so that it holds the final timings.
            write_report(output)

        by_leader(finish)
    return summary


def stages_of(
    config: RunConfig, output: Path, given: Mapping[RunSet, Source] | None = None
) -> Stages:
    """Return the stages of a run, its sets read and validated; nothing is written.

    Args:
        config: The configuration.
        output: The run folder.
        given: See `run`.

    Raises:
        UserError: bad data or model.
    """
    load_extensions(config.extensions)
    before = EarlierRun(Path(config.after)) if config.after else None
    found, model = read_run_sets(config.data, config.model, tokenizer_named, given=given or {})
    sets: dict[str, list[Record]] = {name: each.records for name, each in found.items()}
    config = config.model_copy(update={"model": model})
    hashes = {}
    if before:
        before.check(config, output)
        sets = _further(sets, before)
        hashes["after"] = before.fingerprint()
    hashes |= {name: content_hash(dumped(records)) for name, records in sets.items()}
    return Stages(config, sets, RunFolder(output, config, hashes), before)


def metrics_by_model(summary: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the metrics of every model in a run's summary: the target, the unlearned, the rest."""
    models = {name: summary[name] for name in ("target", UNLEARNED)}
    return models | summary["baselines"]


def _summary(stages: Stages) -> dict[str, Any]:
    """Collect the figures of all stages."""
    manifest = stages.folder.manifest
    metrics = {
        name: read_json(stages.path / "evaluation" / name / "metrics.json")
        for name in stages.models
    }
    return {
        "target": metrics.pop("target"),
        UNLEARNED: metrics.pop(UNLEARNED),
        "baselines": metrics,
        "failed": stages.failed,
        "unanswered": stages.unanswered(),
        "sequence": sequence(stages.path, stages.before),
        "seconds": {name: stage["seconds"] for name, stage in manifest["stages"].items()},
        "peak_memory_bytes": manifest["peak_memory_bytes"],
    }


def _further(sets: dict[str, list[Record]], before: EarlierRun) -> dict[str, list[Record]]:
    """Return the sets of a further run: what is now to be forgotten is no longer to be kept."""
    asked = {normalized(record.question) for record in sets["forget"]}
    further = {**sets, EARLIER: before.records()}
    for name in ("retain", "retain_unseen"):
        records = sets.get(name, [])
        further[name] = [r for r in records if normalized(r.question) not in asked]
        if left := len(records) - len(further[name]):
            note(f"{name}: {left} records are to be forgotten now, and left out")
    if not further["retain"]:
        raise UserError("all of the retain set is to be forgotten now.", "Give --retain FILE.")
    return {name: records for name, records in further.items() if records}
