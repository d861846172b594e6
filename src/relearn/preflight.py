"""Preflight: mistakes are found before anything is computed, sent or written.

Every stage contributes the checks of its own settings; each raises `UserError`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from huggingface_hub import parse_local_safetensors_file_metadata

from relearn.base.distributed import process_count
from relearn.base.errors import UserError
from relearn.base.progress import note
from relearn.base.storage import check_writable
from relearn.config import RunConfig, TrainingConfig
from relearn.data.checks import check_sets
from relearn.data.records import RecordSets
from relearn.evaluation.evaluate import check_evaluation
from relearn.evaluation.suites import load_suite
from relearn.models.checks import check_model
from relearn.models.loading import model_folder
from relearn.objectives import OBJECTIVES
from relearn.synthesis.checks import check_synthesis
from relearn.training.answers import wants
from relearn.training.checks import check_fit, check_training

# Bytes that each weight takes: full fine-tuning keeps it, its gradient and AdamW's two moments in
# float32. An adapter is small beside the weights that it is trained on.
_FULL, _FOUR_BITS = 16, 0.5


def preflight(config: RunConfig, sets: RecordSets, output: Path) -> None:
    """Check a whole run: the sets, settings, models, judges, memory and the folder.

    Args:
        config: Of the run.
        sets: The validated records.
        output: The run folder.

    Raises:
        UserError: the first mistake that was found. Nothing has been computed, sent or written.
    """
    check_writable(output)
    for line in check_sets(sets):
        note(line)
    for name in config.baselines:
        if name in ("target", "unlearned") or not name.isidentifier():
            raise UserError(f"baselines: {name!r} can't be a baseline's name.", "Rename it.")
    trainings = {"training": config.training}
    trainings |= {f"baselines.{name}": each for name, each in config.baselines.items()}
    if config.memorize:
        trainings["memorize"] = config.memorize
    for section, training in trainings.items():
        with _naming(section):
            check_training(training)
    # Where no training uses new answers, none are written: a missing key does not matter.
    objectives = [OBJECTIVES[training.objective] for training in trainings.values()]
    if any(wants(objective, "synthesized") for objective in objectives):
        check_synthesis(config.synthesis, config.seed, sets["forget"])
    elif any(wants(objective, "alternative") for objective in objectives):
        once = config.synthesis.model_copy(update={"strategy": "alternative", "variants": 0})
        check_synthesis(once, config.seed, sets["forget"])
    suite = load_suite(config.evaluation.suite)
    check_evaluation(sets, suite.metric_names, config.evaluation)  # type: ignore[arg-type]
    trained = sets if config.memorize else {k: sets[k] for k in ("forget", "retain")}
    longest = config.evaluation.max_new_tokens
    folder = model_folder(config.model.name)
    blank = check_model(folder, config.model, list(trainings.values()), trained, sets, longest)
    for section, training in trainings.items():
        with _naming(section):
            check_memory(folder, training)
            check_fit(training, blank)


@contextmanager
def _naming(section: str) -> Iterator[None]:
    """Let an error that is about `training` name the section that it is about."""
    try:
        yield
    except UserError as error:
        problem = error.problem.replace("training.", f"{section}.", 1)
        raise UserError(problem, error.hint) from error


def check_memory(folder: Path, config: TrainingConfig) -> None:
    """Refuse a training whose weights alone are larger than this machine's memory.

    The bound is a lower one: activations come on top, and what passes may still run out. Several
    processes may share the weights out among them, each with memory of its own.

    Args:
        folder: Of the model, with safetensors files; without any, nothing is known of its size.
        config: Of the training.

    Raises:
        UserError: names the memory that is needed and what there is.
    """
    files = list(folder.glob("*.safetensors"))
    weights = sum(
        sum(parse_local_safetensors_file_metadata(file).parameter_count.values()) for file in files
    )
    stored = sum(file.stat().st_size for file in files)
    needed = {"full": _FULL * weights, "qlora": _FOUR_BITS * weights}.get(config.method, stored)
    needed /= process_count()
    available = _memory_bytes()
    if needed > available:
        raise UserError(
            f"training.method {config.method} needs {needed / 2**30:.1f} GiB for the weights of "
            f"{folder.name} alone, and there are {available / 2**30:.1f} GiB.",
            "Take training.method=lora or qlora, a smaller model, or more processes "
            "(docs/many-gpus.md).",
        )


def _memory_bytes() -> int:
    """Return the memory of the device that trains, in bytes."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    return int(psutil.virtual_memory().total)
