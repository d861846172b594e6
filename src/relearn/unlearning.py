"""Unlearning in one call, on what the user has: models and sets by name, or in memory."""

import os
import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from relearn.base.progress import note
from relearn.base.workspace import ResultFolder, check_free
from relearn.config import RunSet, config_from_keywords
from relearn.data.sources import Source
from relearn.finished_run import FinishedRun
from relearn.models.given import GivenModel, given_name
from relearn.run import run
from relearn.run_folder import GIVEN_MODEL, is_run


def unlearn(
    model: GivenModel | None = None,
    forget: Source | None = None,
    retain: Source | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    objective: str | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    forget_unseen: Source | None = None,
    retain_unseen: Source | None = None,
    config: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> FinishedRun:
    """Make a model forget: write new answers, train on them, evaluate, attack, report.

    The same as `relearn run`. All files, private text among them, are in the run folder. A model
    in memory is not changed: it is written to `model` in the run folder and loaded from there, its
    adapters merged. (To train the model in memory itself, see `UnlearningTrainer`.)

    Args:
        model: Whatever `--model` takes, or a model in memory, with peft's adapters on it or not.
        forget: What to forget: a file, a dataset's name, a `datasets.Dataset` or
            `IterableDataset`, or a list of dicts, with any columns that the command line reads.
        retain: What to keep, likewise.
        tokenizer: Of a model in memory; None means the one in the folder that it came from.
        objective: By name (`relearn list objectives`); None means ReLearn's.
        output: The run folder; a run that was killed is resumed there. None means a temporary
            folder, which is deleted together with the result.
        forget_unseen: Other questions about what to forget; evaluated, never trained on.
        retain_unseen: Other questions about what to keep, likewise.
        config: A YAML file or the name of a recipe, as `--config` takes it.
        **settings: Settings of the training (`epochs=3`), sections (`synthesis={"variants": 2}`,
            `audit=None`, `baselines={"npo": {"objective": "npo"}}`, `seed=1`) and dotted names
            (`**{"model.system": "Be brief."}`); see `relearn list settings`.

    Returns:
        The finished run: `.model`, `.metrics`, `.report()`, and how to save, merge and push it.

    Raises:
        UserError: bad settings, data, model or folder; nothing is computed in these cases.
    """
    folder = ResultFolder(output)
    check_free(folder.path, "a run", is_run)
    sets: dict[RunSet, Source | None] = {
        "forget": forget, "retain": retain,
        "forget_unseen": forget_unseen, "retain_unseen": retain_unseen,
    }  # fmt: skip
    given = {name: s for name, s in sets.items() if not isinstance(s, str | os.PathLike | None)}
    named = {
        f"data.{name}": f"{type(source).__name__} given in Python" if name in given else source
        for name, source in sets.items()
    }
    given_model = folder.path / GIVEN_MODEL
    existed = given_model.exists()
    try:
        if model is not None:
            named["model.name"] = given_name(model, tokenizer, given_model)
        named["training.objective"] = objective
        chosen = config_from_keywords(config, settings, named, "training")
        if folder.is_temporary:
            note(f"the run folder {folder.path} is temporary: name one with output= to keep it")
        run(chosen, folder.path, given=given)
    except BaseException:
        _clean(folder.path, existed)
        raise
    return FinishedRun(folder)


def _clean(folder: Path, existed: bool) -> None:
    """Take away the model that was written for a run that did not begin."""
    if existed or (folder / "manifest.json").exists():
        return
    shutil.rmtree(folder / GIVEN_MODEL, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
