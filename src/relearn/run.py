"""The main job: from a forget set to a report, stage by stage in a run folder."""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from relearn.base.distributed import OneProcessError, by_leader
from relearn.base.errors import UserError
from relearn.base.storage import content_hash, read_json, read_jsonl, write_json, write_jsonl
from relearn.config import ModelConfig, RunConfig, SynthesisConfig, TrainingConfig
from relearn.data.records import Record, RecordSets, normalized
from relearn.data.sources import load_sets
from relearn.data.tokenization import Example, check_lengths
from relearn.evaluation.evaluate import (
    evaluate_model,
    loaded_when_needed,
    perplexity_config,
    write_comparison,
)
from relearn.evaluation.suites import load_suite
from relearn.models.loading import (
    load_model,
    load_prompt_format,
    model_folder,
    position_limit,
)
from relearn.objectives import OBJECTIVES
from relearn.preflight import preflight
from relearn.report import write_report
from relearn.run_folder import RunFolder, adapter_folder, target_folder
from relearn.synthesis.checks import reserved_questions
from relearn.synthesis.fluency import fluency
from relearn.synthesis.folder import synthesize_into
from relearn.synthesis.mixing import answerer
from relearn.training.answers import Answered, forget_rows, unanswered, wants
from relearn.training.engine import train
from relearn.training.memorize import memorize

ALTERNATIVES = "alternatives"
# Which answers the stages of synthesis write.
_ANSWERS_OF = {"synthesis": "synthesized", ALTERNATIVES: "alternative"}


def run(config: RunConfig, output: Path, *, keep_going: bool = False) -> dict[str, Any]:
    """Do the whole job in the run folder `output`, or what of it is not done yet.

    Args:
        config: Of the run.
        output: Folder that the run is done in.
        keep_going: Leave a baseline whose training fails out rather than stop there.

    Returns:
        The run's summary, as in `summary.json`: metrics of the target, the unlearned model and
        the baselines; the baselines left out, with the reason; by training the forget records that
        got no new answer and stay in the model; seconds of each stage; peak memory
        in bytes.

    Raises:
        UserError: bad configuration, data, model or folder; nothing is written in these cases.
    """
    sets, model = _load_sets(config)
    config = config.model_copy(update={"model": model})
    by_leader(lambda: preflight(config, sets, output))
    base = model_folder(config.model.name)
    hashes = {name: content_hash(_dumped(records)) for name, records in sets.items()}
    with RunFolder(output, config, hashes) as folder:
        job = _Job(config, folder, sets, base)
        for name, stage in job.stages().items():
            if job.is_left_out(name):
                continue
            try:
                folder.stage(name, stage, together=name.startswith(("target", "training/")))
            except OneProcessError:
                raise
            except UserError as error:
                if not keep_going or not job.leave_out(name, error):
                    raise
        summary = job.summary()

        def finish() -> None:
            write_json(output / "summary.json", summary)
            # Rendered last and each time, so that it holds the final timings.
            write_report(output)

        by_leader(finish)
    return summary


class _Job:
    """The stages of one run; each reads and writes files of the run folder only."""

    def __init__(self, config: RunConfig, folder: RunFolder, sets: RecordSets, base: Path) -> None:
        self.config = config
        self.folder = folder
        self.path = folder.path
        self.sets = sets
        self.base = base
        self.trainings = {"unlearned": config.training, **config.baselines}
        self.failed: dict[str, str] = {}

    def stages(self) -> dict[str, Callable[[], None]]:
        """Return the work of each stage by name, in order."""
        stages: dict[str, Callable[[], None]] = {"data": self.data, "target": self.target}
        # Nothing is written, or sent to an endpoint, that no training uses.
        if self._wanting("synthesized"):
            stages["synthesis"] = self.synthesis
        if self._wanting("alternative") and not all(r.wrong_answers for r in self.sets["forget"]):
            stages["alternatives"] = self.alternatives
        for name, training in self.trainings.items():
            stages[f"training/{name}"] = lambda n=name, t=training: self.training(n, t)  # type: ignore[misc]
        for name in ("target", *self.trainings):
            stages[f"evaluation/{name}"] = lambda n=name: self.evaluation(n)  # type: ignore[misc]
        return stages

    def _wanting(self, answers: str) -> list[str]:
        """Return the names of the trainings that use answers of that kind."""
        return [
            name
            for name, training in self.trainings.items()
            if wants(OBJECTIVES[training.objective], answers)
        ]

    def leave_out(self, stage: str, error: UserError) -> bool:
        """Go on without the baselines that `stage` is for; false if the run itself needs it."""
        kind, _, name = stage.partition("/")
        if kind in _ANSWERS_OF:
            names = self._wanting(_ANSWERS_OF[kind])
        else:
            names = [name] if kind == "training" else []
        if not names or "unlearned" in names:
            return False
        self.failed |= dict.fromkeys(names, str(error))
        return True

    def is_left_out(self, stage: str) -> bool:
        """Return whether `stage` is about a model that is left out."""
        return stage.partition("/")[2] in self.failed

    def data(self) -> None:
        """Write the validated records."""
        sources = self.config.data.model_dump()
        for name, records in self.sets.items():
            write_jsonl(self.path / "data" / f"{name}.jsonl", _dumped(records))
            self.folder.manifest["data"][name] |= {
                "source": sources[name] or f"paraphrases of {name.removesuffix('_unseen')}",
                "records": len(records),
            }

    def target(self) -> None:
        """Find the target model, or make it."""
        target = self.base
        if self.config.memorize:
            # The unseen questions too: what the target never knew can't be forgotten.
            full = [record for records in self.sets.values() for record in records]
            target = memorize(full, self.config.model, self.config.memorize, self.config.seed)
        self.folder.manifest["model"] = {
            "name": self.config.model.name,
            "source": str(self.base),
            "sha256": content_hash(self.base),
            "target": str(target),
            "target_sha256": content_hash(target),
        }

    def synthesis(self) -> None:
        """Write new answers for the forget set."""
        self._synthesize("synthesis", self.config.synthesis)

    def _written(self, stage: str) -> list[dict[str, Any]]:
        """Return the new answers of `synthesis` or `alternatives`; none where nothing was."""
        file = self.path / stage / "augmented.jsonl"
        return read_jsonl(file) if file.is_file() else []

    def alternatives(self) -> None:
        """Write a made-up answer to each forget question."""
        once = {"strategy": "alternative", "variants": 0, "completion_share": 0, "generic_ratio": 0}
        self._synthesize(ALTERNATIVES, self.config.synthesis.model_copy(update=once))

    def _synthesize(self, name: str, config: SynthesisConfig) -> None:
        model = self.config.model
        synthesize_into(
            self.path / name,
            self.sets["forget"],
            config,
            self.config.seed,
            answer=answerer(target_folder(self.path), model) if config.self_distilled else None,
            fluency=fluency(self.base, model) if config.max_perplexity else None,
            reserved=reserved_questions(self.sets),
        )

    def training(self, name: str, config: TrainingConfig) -> None:
        """Train one adapter on the target model."""
        output = self.path / "training" / name
        if output.is_dir():  # killed between the adapter and the manifest
            return
        target = target_folder(self.path)
        model = load_model(target, self.config.model, quantized=config.method == "qlora")
        prompt_format = load_prompt_format(target, self.config.model)
        positions = position_limit(model.config)

        def encode(rows: Sequence[Answered | Record]) -> list[Example]:
            examples = [prompt_format.encode(row.question, row.answer) for row in rows]
            check_lengths(examples, [row.id for row in rows], config.max_length, positions)
            return examples

        forget, chosen = forget_rows(
            OBJECTIVES.named(config.objective),
            self.sets["forget"],
            self._written("synthesis"),
            self._written(ALTERNATIVES),
            self.config.seed,
        )
        train(
            model,
            prompt_format.tokenizer,
            encode(forget),
            encode(self.sets["retain"]),
            config,
            output,
            self.config.seed,
            title=f"training {name}",
            chosen=encode(chosen),
        )
        gc.collect()

    def evaluation(self, name: str) -> None:
        """Let one model answer every set, judge and score the answers; compare with the others."""
        config, output = self.config, self.path / "evaluation" / name
        # Otherwise it was killed between the results and the manifest.
        if (output / "parts").is_dir() or not (output / "metrics.json").is_file():
            target = target_folder(self.path)
            adapter = None if name == "target" else adapter_folder(self.path, name)
            base = model_folder(config.evaluation.perplexity_model or config.model.name)
            evaluate_model(
                loaded_when_needed(target, config.model, adapter),
                loaded_when_needed(base, perplexity_config(config.model, config.evaluation)),
                self.sets,  # type: ignore[arg-type]  # names of sets are those of evaluation
                load_suite(config.evaluation.suite).metric_names,
                config.evaluation,
                output,
                key=name,
                title=name,
            )
        others = ["target", *self.trainings]
        others = [o for o in others[: others.index(name)] if o not in self.failed]
        if others:
            write_comparison(output, {other: output.parent / other for other in others})

    def unanswered(self) -> dict[str, list[str]]:
        """Return by training the forget records that it leaves in the model, if any."""
        written = self._written("synthesis"), self._written(ALTERNATIVES)
        found = {
            name: unanswered(OBJECTIVES[training.objective], self.sets["forget"], *written)
            for name, training in self.trainings.items()
            if name not in self.failed
        }
        return {name: ids for name, ids in found.items() if ids}

    def summary(self) -> dict[str, Any]:
        """Collect the figures of all stages."""
        manifest = self.folder.manifest
        metrics = {
            name: read_json(self.path / "evaluation" / name / "metrics.json")
            for name in ("target", *self.trainings)
            if name not in self.failed
        }
        return {
            "target": metrics["target"],
            "unlearned": metrics["unlearned"],
            "baselines": {name: metrics[name] for name in self.config.baselines if name in metrics},
            "failed": self.failed,
            "unanswered": self.unanswered(),
            "seconds": {name: stage["seconds"] for name, stage in manifest["stages"].items()},
            "peak_memory_bytes": manifest["peak_memory_bytes"],
        }


def _load_sets(config: RunConfig) -> tuple[dict[str, list[Record]], ModelConfig]:
    """Load every set that the configuration names; see `load_sets`."""
    data = config.data
    sources = {
        "forget": data.forget,
        "retain": data.retain,
        "forget_unseen": data.forget_unseen,
        "retain_unseen": data.retain_unseen,
    }
    for name in ("forget", "retain"):
        if not sources[name]:
            raise UserError(f"there is no {name} set.", f"Give --{name} FILE.")
    named = {name: source for name, source in sources.items() if source}
    sets, model = load_sets(named, data, config.model)
    for name in ("forget", "retain"):
        if f"{name}_unseen" not in sets and (unseen := _paraphrased(sets[name])):
            sets[f"{name}_unseen"] = unseen
    return sets, model


def _paraphrased(records: Sequence[Record]) -> list[Record]:
    """Return the records' own paraphrases as questions, those that none of the records asks."""
    asked = {normalized(record.question) for record in records}
    return [
        record.model_copy(
            update={"id": f"{record.id}-paraphrase-{i}", "question": text, "paraphrases": ()}
        )
        for record in records
        for i, text in enumerate(record.paraphrases, 1)
        if normalized(text) not in asked
    ]


def _dumped(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [record.model_dump(mode="json") for record in records]
