"""What is analysed: models by name, and the sets of questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel
from typing_extensions import override

from relearn.analysis.names import BASE, LEARNED, TARGET
from relearn.base.errors import UserError
from relearn.base.storage import read_json
from relearn.config import DataConfig, ModelConfig, load_config
from relearn.data.records import Record
from relearn.data.sources import load_records, load_sets
from relearn.models.loading import model_folder, tokenizer_named
from relearn.models.place import ModelPlace, folders_of, named_path
from relearn.objectives import OBJECTIVES
from relearn.run_folder import adapter_folder, check_finished, check_private_data, target_folder


@dataclass(frozen=True)
class ModelSource(ModelPlace):
    """One model that is analysed.

    Attributes:
        reverse: Whether it was made by pushing down the private answers (GA, GradDiff, NPO …)
            rather than by learning new ones; None for what was not unlearned.
    """

    reverse: bool | None = None

    @override
    def load(self, config: ModelConfig) -> PreTrainedModel:
        """Load the model, its adapter merged, with attention that returns its weights."""
        model = super().load(config)
        model.set_attn_implementation("eager")
        model.requires_grad_(False)
        return model


@dataclass(frozen=True)
class AnalysisInputs:
    """All that one analysis looks at.

    Attributes:
        models: The target first, then the base where there is one, then the others.
        sets: Records to forget, and those to keep where there are any.
        config: How the models are loaded and asked.
    """

    models: Sequence[ModelSource]
    sets: Mapping[str, Sequence[Record]]
    config: ModelConfig

    @property
    def has_base(self) -> bool:
        """Whether the second model is one that never saw the answers."""
        return len(self.models) > 1 and self.models[1].name == BASE


def from_run(run: Path) -> AnalysisInputs:
    """Return the models and sets of a finished run.

    Raises:
        UserError: it is not a finished run, or one of its models is gone.
    """
    check_finished(run)
    check_private_data(run)
    config = load_config(run / "config.yaml")
    target, base = target_folder(run), model_folder(config.model.name)
    models = [ModelSource(TARGET, target)]
    if base != target:
        models.append(ModelSource(BASE, base))
    left_out = read_json(run / "summary.json")["failed"]
    for name, training in config.trainings.items():
        if name not in left_out:
            reverse = OBJECTIVES.named(training.objective).forget_data == "original"
            folders = folders_of(adapter_folder(run, name), target)
            models.append(ModelSource(name, *folders, reverse))
    sets = {
        name: load_records(str(run / "data" / f"{name}.jsonl"), None, name)
        for name in ("forget", "retain")
    }
    return AnalysisInputs(models, sets, config.model)


def from_options(named: Sequence[str], data: str, retain: str | None) -> AnalysisInputs:
    """Return the models and sets that the command line names.

    Args:
        named: `NAME=PATH` each; a path is whatever `--model` takes, or a LoRA adapter's folder,
            which is put on the target. The target is the model called `target`, else the first.
        data: The set to forget.
        retain: The set to keep.

    Raises:
        UserError: a name or a path is wrong, or there are fewer than two models.
    """
    paths = dict(named_path(each, "--models") for each in named)
    if len(paths) < 2 or len(paths) < len(named):
        raise UserError(
            "relearn analyze compares two or more models of different names.",
            "Give --models NAME=PATH at least twice.",
        )
    first = TARGET if TARGET in paths else next(name for name in paths if name != BASE)
    target = model_folder(paths[first])
    order = [first, *([BASE] if BASE in paths else [])]
    order += [name for name in paths if name not in order]
    models = []
    for name in order:
        reverse = None if name in (first, BASE) else name not in LEARNED
        models.append(ModelSource(name, *folders_of(paths[name], target), reverse))
    sources = {"forget": data} | ({"retain": retain} if retain else {})
    return AnalysisInputs(
        models, *load_sets(sources, DataConfig(), ModelConfig(name=paths[first]), tokenizer_named)
    )
