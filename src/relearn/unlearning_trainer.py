"""A Trainer for scripts of one's own, which changes a model in memory."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from peft import PeftConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, set_seed
from transformers.trainer_utils import TrainOutput

from relearn.base.distributed import by_leader
from relearn.base.errors import UserError
from relearn.base.progress import note
from relearn.config import (
    ColumnsConfig,
    DataConfig,
    ModelConfig,
    PromptConfig,
    SynthesisConfig,
)
from relearn.data.checks import check_sets
from relearn.data.new_answers import NewAnswer
from relearn.data.records import Record
from relearn.data.sources import Source, load_sets
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.given import tokenizer_of
from relearn.models.loading import load_model, load_tokenizer, model_folder, position_limit
from relearn.objectives import OBJECTIVES
from relearn.synthesis.checks import check_synthesis, refuse_neighbours, reserved_questions
from relearn.synthesis.pipeline import synthesize
from relearn.training.answers import Answered, encode_rows, forget_rows, wants
from relearn.training.arguments import UnlearningConfig, as_section
from relearn.training.engine import fast_ways, packs_exactly
from relearn.training.plan import TrainingPlan
from relearn.training.trainer import ObjectiveTrainer


class UnlearningTrainer(ObjectiveTrainer):
    """transformers' Trainer for unlearning: `train()`, `evaluate()`, `push_to_hub()`, callbacks.

    It trains the model that it is given, in place: an adapter on it where there is one, else all
    its weights. The reference of objectives and of `kl` is the model as it is when training begins.
    `evaluate()` gives the cross-entropy of the sets' first rows as `eval_forget_ce` and so on; what
    a model says is evaluated by `relearn.evaluate`.

    Args:
        model: A model in memory, or whatever `--model` takes.
        args: Hyper-parameters.
        forget_dataset: What to forget: a `datasets.Dataset` or `IterableDataset`, a list of dicts,
            or a source's name, with any columns that the command line reads.
        retain_dataset: What to keep, likewise; may be missing where nothing is trained on it.
        processing_class: The model's tokenizer; None means the one in the folder that it came from.
        callbacks: transformers' callbacks.
        peft_config: peft's configuration of an adapter to train; None trains the adapter that the
            model has, or all weights.
        new_answers: What objectives like ReLearn learn, as `relearn.synthesize` returns it
            (`.augmented`); None writes them here, by `args.synthesis`.
        optimizers: An optimizer and a schedule of one's own; None means those that `args` name.

    Raises:
        UserError: bad arguments, data or model; nothing is trained in these cases.
        UnansweredError: no new answer passed the verification.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | PreTrainedModel | PeftModel,
        args: UnlearningConfig | None = None,
        *,
        forget_dataset: Source,
        retain_dataset: Source | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        callbacks: list[TrainerCallback] | None = None,
        peft_config: PeftConfig | None = None,
        new_answers: Sequence[NewAnswer] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
    ) -> None:
        args = args or UnlearningConfig()
        config = args.training()
        objective = OBJECTIVES.named(config.objective)
        objective.options.check(config.objective_options)
        if isinstance(model, str | os.PathLike):
            folder = model_folder(os.fspath(model))
            processing_class = processing_class or load_tokenizer(folder, ModelConfig())
            model = load_model(folder, ModelConfig())
        tokenizer = processing_class or tokenizer_of(model)
        if tokenizer.pad_token is None:
            # Any token does: padding is never attended to.
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)

        sets, asked = _loaded(forget_dataset, retain_dataset, args, tokenizer)
        augmented, alternatives = (
            _written(sets, args, kind) if wants(objective, kind) and not new_answers else []
            for kind in ("synthesized", "alternative")
        )
        augmented = [*augmented, *(new_answers or ())]
        forget, chosen = forget_rows(
            objective, sets["forget"], augmented, alternatives, args.seed, config.endings
        )
        encode = _Encoder(model, tokenizer, asked, config.max_length)
        plan = TrainingPlan(
            config, encode(forget), encode(chosen), encode(sets.get("retain", [])),
            cast(int, tokenizer.pad_token_id), Path(args.output_dir or "."), args.seed,
        )  # fmt: skip
        if plan.needs_retain and "retain" not in sets:
            raise UserError(
                f"the objective {config.objective} trains on a retain set as well.",
                "Give retain_dataset, or set retain_regularizer='none'.",
            )

        set_seed(args.seed)
        policy = _policy(model, peft_config)
        if not (args.fsdp or args.deepspeed or getattr(policy, "hf_device_map", None)):
            policy.to(args.device)
        packed = config.packing and packs_exactly(policy, plan.rows, plan.pad_token_id)
        plan = replace(plan, config=config.model_copy(update={"packing": packed}))
        super().__init__(policy, tokenizer, plan, args, callbacks, optimizers)
        self._referred = self._inside = False
        if hasattr(policy, "add_model_tags"):
            policy.add_model_tags(["relearn", "unlearning"])

    def train(self, *arguments: Any, **options: Any) -> TrainOutput:
        """Train, as transformers' Trainer does, with the same arguments."""
        with self._fast():
            if not self._referred:
                # Before anything is trained, and also before a checkpoint is loaded.
                self.take_references()
                self._referred = True
            return cast(TrainOutput, super().train(*arguments, **options))

    def evaluate(self, eval_dataset: Any = None, *_: Any, **__: Any) -> dict[str, float]:
        """Return the cross-entropy of the first rows of each kind, in nats per answer token.

        Raises:
            UserError: it is given another data set.
        """
        if eval_dataset is not None:
            raise UserError(
                "UnlearningTrainer evaluates its own sets.", "Use relearn.evaluate for others."
            )
        with self._fast():
            return super().evaluate()

    @contextmanager
    def _fast(self) -> Iterator[None]:
        """Let the model compute by the faster ways; an evaluation in training is in it already."""
        if self._inside:
            yield
            return
        self._inside = True
        try:
            with fast_ways(self.model, self._plan.config.packing):
                yield
        finally:
            self._inside = False


class _Encoder:
    """Tokenizes rows as the model is asked, and refuses those that are too long."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        asked: ModelConfig,
        max_length: int,
    ) -> None:
        settings: Any = getattr(model, "generation_config", None)
        ends = getattr(settings, "eos_token_id", None)
        stops = [] if ends is None else ends if isinstance(ends, list) else [ends]
        self._format = PromptFormat(tokenizer, asked.system, asked.prompt, stops)
        self._positions = position_limit(cast(PreTrainedModel, model).config)
        self._max_length = max_length

    def __call__(self, rows: Sequence[Answered | Record]) -> list[Example]:
        return encode_rows(rows, self._format, self._max_length, self._positions)


def _loaded(
    forget: Source,
    retain: Source | None,
    args: UnlearningConfig,
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[dict[str, list[Record]], ModelConfig]:
    """Load the sets; return them and how the model is asked."""
    sources: dict[str, Source] = {"forget": forget} | ({} if retain is None else {"retain": retain})
    columns = as_section(ColumnsConfig, args.columns, "columns")
    prompt = as_section(PromptConfig, args.prompt, "prompt")
    asked = ModelConfig(system=args.system, prompt=prompt)
    sets, asked = load_sets(sources, DataConfig(columns=columns), asked, lambda _: tokenizer)
    for line in check_sets(sets):
        note(line)
    return sets, asked


def _written(sets: dict[str, list[Record]], args: UnlearningConfig, kind: str) -> list[NewAnswer]:
    """Write new answers, in one process for all."""
    records = sets["forget"]
    config = as_section(SynthesisConfig, args.synthesis, "synthesis")
    if kind == "alternative":
        if all(record.wrong_answers for record in records):
            return []
        config = config.alternatives
    refuse_neighbours(config)
    check_synthesis(config, args.seed, records)
    reserved = reserved_questions(sets)
    return by_leader(lambda: synthesize(records, config, args.seed, reserved=reserved).augmented)


def _policy(model: PreTrainedModel | PeftModel, peft_config: PeftConfig | None) -> Any:
    """Return what is trained."""
    if peft_config is not None:
        if isinstance(model, PeftModel):
            raise UserError(
                "the model has an adapter, and peft_config asks for another one.",
                "Give model.merge_and_unload(), or leave peft_config out.",
            )
        return get_peft_model(cast(Any, model), peft_config)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(
            "no parameter of the model can be trained.",
            "Load its adapter with is_trainable=True, or give a peft_config.",
        )
    return model
