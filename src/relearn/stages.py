"""The stages of a run: what each checks before anything is done, and what it does."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from transformers import PreTrainedModel

from relearn.audit.pipeline import chosen_attacks, run_audit
from relearn.audit.sources import (
    check_never_saw,
    check_retain_model,
    from_run,
    never_saw_model,
)
from relearn.base.distributed import leaders
from relearn.base.errors import UserError
from relearn.base.progress import note
from relearn.base.storage import check_writable, content_hash, read_jsonl, write_json, write_jsonl
from relearn.config import (
    EVALUATED_ONLY,
    NEVER_SAW,
    UNLEARNED,
    RunConfig,
    SynthesisConfig,
    TrainingConfig,
)
from relearn.data.checks import check_sets
from relearn.data.new_answers import AUGMENTED, NewAnswer, read_new_answers, write_answers
from relearn.data.records import Record, RecordSets, dumped
from relearn.data.requests import EARLIER
from relearn.data.tokenization import Example
from relearn.earlier import EarlierRun, earlier_answers
from relearn.evaluation.evaluate import (
    check_evaluation,
    evaluate_model,
    loaded_when_needed,
    names_model,
    perplexity_config,
    write_comparison,
)
from relearn.evaluation.suites import load_suite
from relearn.models.checks import check_model
from relearn.models.loading import load_model, load_prompt_format, model_folder, position_limit
from relearn.models.place import folders_of
from relearn.objectives import OBJECTIVES, Objective
from relearn.run_folder import RunFolder, Stage, adapter_folder, target_folder
from relearn.synthesis.checks import check_neighbours, check_synthesis, reserved_questions
from relearn.synthesis.fluency import fluency
from relearn.synthesis.folder import synthesize_into
from relearn.synthesis.lengths import too_long
from relearn.synthesis.mixing import answerer
from relearn.synthesis.neighbours import find_neighbours, thinker
from relearn.training.answers import (
    Answered,
    encode_rows,
    forget_rows,
    known_rows,
    rehearsed,
    unanswered,
    wants,
)
from relearn.training.checks import check_fit, check_memory, check_training
from relearn.training.engine import train
from relearn.training.memorize import memorize
from relearn.training.plan import needs_retain

SYNTHESIS, ALTERNATIVES, NEIGHBOURS = "synthesis", "alternatives", "neighbours"


class Stages:
    """The stages of one run; each reads and writes files of the run folder only.

    Args:
        config: The run's configuration.
        sets: The validated records.
        folder: The run folder; only a stage's work writes to it.
        before: The run that this one goes on from; None where it is the first.

    Attributes:
        failed: Baselines that the run goes on without, with the reason.
    """

    def __init__(
        self,
        config: RunConfig,
        sets: RecordSets,
        folder: RunFolder,
        before: EarlierRun | None = None,
    ) -> None:
        self.config = config
        self.sets = sets
        self.folder = folder
        self.before = before
        self.path = folder.path
        self.failed: dict[str, str] = {}

    def __iter__(self) -> Iterator[Stage]:
        """Yield the stages in order, without those of a model that has failed in the meantime."""
        yield Stage("data", self.data, self._check_data)
        yield Stage(
            "target",
            self.target,
            self._check_memorize,
            self._check_memorizing_model,
            together=True,
        )
        # Nothing is written, or sent to an endpoint, that no training uses.
        if names := self._wanting("synthesized"):
            yield self._synthesis(SYNTHESIS, self.config.synthesis, names)
        missing = any(not record.wrong_answers for record in self.sets["forget"])
        if missing and (names := self._wanting("alternative")):
            yield self._synthesis(ALTERNATIVES, self.config.synthesis.alternatives, names)
        if self.config.synthesis.neighbours and (names := self._keeping()):
            check = partial(check_neighbours, self.sets["retain"])
            yield Stage(NEIGHBOURS, partial(self.neighbours, names), check, serves=names)
        for name, training in self.config.trainings.items():
            if name not in self.failed:
                yield Stage(
                    f"training/{name}",
                    partial(self.training, name),
                    partial(self._check_trained, name, training),
                    partial(self._check_model, _section(name), training),
                    serves=(name,),
                    together=True,
                )
        control = Stage(
            "control",
            self.control,
            partial(check_never_saw, self.config),
            partial(check_retain_model, self.config, self.sets),
            together=True,
        )
        if self._compares:
            yield control
            yield self._evaluation(NEVER_SAW)
        # All models are evaluated alike: what is checked for the first one holds for all.
        yield replace(self._evaluation("target"), check=self._check_evaluation)
        for name in self.models[1:]:
            yield self._evaluation(name)
        if self.config.audit:
            if not self._compares:
                yield control
            chosen = partial(chosen_attacks, self.config.audit)
            yield Stage("audit", self.audit, chosen, together=True, final=True)

    def preflight(self) -> None:
        """Let every stage check what it needs, before anything is computed, sent or written.

        Raises:
            UserError: the first mistake that was found.
        """
        check_writable(self.path)
        stages = list(self)
        for stage in stages:
            stage.check()
        for stage in stages:
            stage.check_model()

    def leave_out(self, stage: Stage, error: UserError) -> bool:
        """Go on without the baselines that `stage` is for; false if the run itself needs it."""
        if not stage.serves or UNLEARNED in stage.serves:
            return False
        self.failed |= dict.fromkeys(stage.serves, str(error))
        return True

    @property
    def models(self) -> list[str]:
        """Names of the models that are evaluated: the target, then the trained ones."""
        return ["target", *(name for name in self.config.trainings if name not in self.failed)]

    def _wanting(self, answers: str) -> tuple[str, ...]:
        """Return the names of the trainings that use answers of that kind."""
        return tuple(
            name
            for name, training in self.config.trainings.items()
            if wants(_objective(training), answers)
        )

    def _keeping(self) -> tuple[str, ...]:
        """Return the names of the trainings that use neighbours as retain rows."""
        return tuple(
            name
            for name, training in self.config.trainings.items()
            if training.neighbours and needs_retain(training)
        )

    @cached_property
    def _base(self) -> Path:
        """Folder of the model as it was given."""
        return model_folder(self.config.model.name)

    def _check_data(self) -> None:
        for line in check_sets(self.sets):
            note(line)

    def data(self) -> None:
        """Write the validated records, and what was written in place of earlier requests'."""
        sources = self.config.data.model_dump()
        if before := self.before:
            sources[EARLIER] = str(before.path)
            self.folder.manifest["data"]["after"]["source"] = str(before.path)
            for stage in (SYNTHESIS, ALTERNATIVES):
                write_answers(earlier_answers(self.path, stage), before.answers(stage))
        for name, records in self.sets.items():
            write_jsonl(self.path / "data" / f"{name}.jsonl", dumped(records))
            self.folder.manifest["data"][name] |= {
                "source": sources[name] or f"paraphrases of {name.removesuffix('_unseen')}",
                "records": len(records),
            }

    @property
    def _memorized(self) -> RecordSets:
        """What a target that is made here learns: the unseen questions too, to forget them."""
        return {name: rs for name, rs in self.sets.items() if name not in EVALUATED_ONLY}

    def _check_memorize(self) -> None:
        if self.config.memorize:
            with _naming("memorize"):
                check_training(self.config.memorize)

    def _check_memorizing_model(self) -> None:
        if self.config.memorize:
            self._check_model("memorize", self.config.memorize)

    def target(self) -> None:
        """Find the target model, or make it."""
        if self.before:
            self.folder.manifest["model"] = self.before.model
            return
        target = self._base
        if self.config.memorize:
            full = [record for records in self._memorized.values() for record in records]
            target = memorize(full, self.config.model, self.config.memorize, self.config.seed)
        self.folder.manifest["model"] = {
            "name": self.config.model.name,
            "source": str(self._base),
            "sha256": content_hash(self._base),
            "target": str(target),
            "target_sha256": content_hash(target),
        }

    def _synthesis(self, name: str, config: SynthesisConfig, serves: tuple[str, ...]) -> Stage:
        return Stage(
            name,
            partial(self.synthesis, name, config, serves),
            partial(check_synthesis, config, self.config.seed, self.sets["forget"]),
            serves=serves,
        )

    def synthesis(self, name: str, config: SynthesisConfig, serves: tuple[str, ...]) -> None:
        """Write new answers for the forget set, for the trainings that it serves."""
        model = self.config.model
        longest = min(self.config.trainings[training].max_length for training in serves)
        synthesize_into(
            self.path / name,
            self.sets["forget"],
            config,
            self.config.seed,
            answer=answerer(target_folder(self.path), model) if config.self_distilled else None,
            fluency=fluency(self._base, model) if config.max_perplexity else None,
            too_long=too_long(self._base, model, longest),
            reserved=reserved_questions(self.sets),
            model=model,
        )

    def neighbours(self, serves: tuple[str, ...]) -> None:
        """Let the target model think up further retain rows, for the trainings that it serves."""
        target, model = target_folder(self.path), self.config.model
        longest = min(self.config.trainings[training].max_length for training in serves)
        found, summary = find_neighbours(
            self.sets,
            self.config.synthesis.neighbours,
            self.config.seed,
            think=thinker(target, model),
            answer=answerer(target, model),
            too_long=too_long(target, model, longest),
        )
        write_jsonl(self._neighbours, dumped(found))
        write_json(self._neighbours.with_name("summary.json"), summary)
        if not found:
            note("synthesis.neighbours: the target model thought up none that could be used")

    @property
    def _neighbours(self) -> Path:
        return self.path / NEIGHBOURS / f"{NEIGHBOURS}.jsonl"

    def _retained(self, config: TrainingConfig) -> list[Record]:
        """Return the retain rows: the set's, and what the target model thought up beside it."""
        file = self._neighbours
        reads = config.neighbours and file.is_file()
        found = map(Record.model_validate, read_jsonl(file) if reads else ())
        return [*self.sets["retain"], *found]

    def _written(self, stage: str) -> list[NewAnswer]:
        """Return the new answers of `synthesis` or `alternatives`; none where nothing was."""
        return read_new_answers(self.path / stage / AUGMENTED)

    @cached_property
    def _blank(self) -> PreTrainedModel:
        """The model without its weights; its prompts and every record's length are checked."""
        config = self.config
        kept = {name: self.sets[name] for name in ("forget", "retain")}
        trained = self._memorized if config.memorize else kept
        trainings = [*config.trainings.values(), *([config.memorize] if config.memorize else [])]
        longest = config.evaluation.max_new_tokens
        return check_model(self._base, config.model, trainings, trained, self.sets, longest)

    def _check_model(self, section: str, training: TrainingConfig) -> None:
        """Check that the model can be trained so, and takes the rows that are known by now."""
        with _naming(section):
            check_memory(self._base, training)
            check_fit(training, self._blank)
            rows = known_rows(_objective(training), self.sets["forget"], self.config.seed)
            prompt_format = load_prompt_format(self._base, self.config.model)
            positions = position_limit(self._blank.config)
            encode_rows(rows, prompt_format, training.max_length, positions)

    def _check_trained(self, name: str, training: TrainingConfig) -> None:
        with _naming(_section(name)):
            check_training(training)
            if self.before:
                self.before.check_training(name, training)

    def _forget_rows(self, config: TrainingConfig) -> tuple[list[Answered], list[Answered]]:
        """Return forget rows and chosen rows: this request's, and some of earlier ones'."""
        objective, seed = _objective(config), self.config.seed
        written = self._written(SYNTHESIS), self._written(ALTERNATIVES)
        new = forget_rows(objective, self.sets["forget"], *written, seed, config.endings)
        if not self.before:
            return new
        augmented, alternatives = (
            read_new_answers(earlier_answers(self.path, stage))
            for stage in (SYNTHESIS, ALTERNATIVES)
        )
        known = forget_rows(
            objective, self.sets[EARLIER], augmented, alternatives, seed, config.endings
        )
        count = round(config.rehearsal_ratio * len(new[0]))
        forget, chosen = (
            [*rows, *rehearsed(old, count, seed)] for rows, old in zip(new, known, strict=True)
        )
        return forget, chosen

    def training(self, name: str) -> None:
        """Train one adapter, or the whole model, on the target model or from where it was left."""
        config, output = self.config.trainings[name], self.path / "training" / name
        if output.is_dir():  # killed between the adapter and the manifest
            return
        target = target_folder(self.path)
        start = self.before.trained(name) if self.before else None
        folder, adapter = folders_of(start, target) if start else (target, None)
        model = load_model(folder, self.config.model, quantized=config.method == "qlora")
        prompt_format = load_prompt_format(target, self.config.model)
        positions = position_limit(model.config)

        def encode(rows: Sequence[Answered | Record]) -> list[Example]:
            return encode_rows(rows, prompt_format, config.max_length, positions)

        forget, chosen = self._forget_rows(config)
        train(
            model,
            prompt_format.tokenizer,
            encode(forget),
            encode(self._retained(config)),
            config,
            output,
            self.config.seed,
            title=f"training {name}",
            chosen=encode(chosen),
            adapter=adapter,
        )
        gc.collect()

    @property
    def _compares(self) -> bool:
        """Whether a retain model is evaluated here, for metrics that compare with it."""
        return names_model(self.config.evaluation.retain_model)

    def _metrics(self) -> list[str]:
        suite, retain_model = self.config.evaluation.suite, self.config.evaluation.retain_model
        return load_suite(suite).metric_names(self.sets, retain_model, in_run=True)

    def _check_evaluation(self) -> None:
        check_evaluation(self.sets, self._metrics(), self.config.evaluation)

    def _evaluation(self, name: str) -> Stage:
        return Stage(f"evaluation/{name}", partial(self.evaluation, name), together=True)

    def evaluation(self, name: str) -> None:
        """Let one model answer every set, judge and score the answers; compare with the others."""
        config, output = self.config, self.path / "evaluation" / name
        # Otherwise it was killed between the results and the manifest.
        if leaders((output / "parts").is_dir() or not (output / "metrics.json").is_file()):
            target = target_folder(self.path)
            adapter = adapter_folder(self.path, name) if name in config.trainings else None
            if name == NEVER_SAW:
                target = Path(self.folder.manifest["model"][NEVER_SAW])
            given = config.evaluation.retain_model
            results = output.parent / NEVER_SAW if names_model(given) else given
            base = model_folder(config.evaluation.perplexity_model or config.model.name)
            evaluate_model(
                loaded_when_needed(target, config.model, adapter),
                loaded_when_needed(base, perplexity_config(config.model, config.evaluation)),
                self.sets,
                self._metrics(),
                config.evaluation,
                output,
                key=name,
                title=name,
                retain_model=Path(results).expanduser() if results and name != NEVER_SAW else None,
            )
        others = self.models[: self.models.index(name)] if name in self.models else []
        if others:
            write_comparison(output, {other: output.parent / other for other in others})

    def control(self) -> None:
        """Find the model that never saw the forget set, or make it as the target was made."""
        if folder := never_saw_model(self.config, self.sets):
            self.folder.manifest["model"][NEVER_SAW] = str(folder)

    def audit(self) -> None:
        """Try to bring back what was unlearned."""
        if audit := self.config.audit:
            judged = self.models[1:] if audit.baselines else [UNLEARNED]
            run_audit(
                from_run(self.path, trainings=judged),
                self.path / "audit",
                audit,
                self.config.seed,
            )

    def unanswered(self) -> dict[str, list[str]]:
        """Return by training the forget records that it leaves in the model, if any."""
        written = self._written(SYNTHESIS), self._written(ALTERNATIVES)
        found = {
            name: unanswered(_objective(training), self.sets["forget"], *written)
            for name, training in self.config.trainings.items()
            if name not in self.failed
        }
        return {name: ids for name, ids in found.items() if ids}


def _objective(training: TrainingConfig) -> Objective:
    return OBJECTIVES.named(training.objective)


def _section(name: str) -> str:
    """Return the configuration's section of a training."""
    return "training" if name == UNLEARNED else f"baselines.{name}"


@contextmanager
def _naming(section: str) -> Iterator[None]:
    """Let an error that is about `training` name the section that it is about."""
    try:
        yield
    except UserError as error:
        raise error.in_section(section) from error
