"""What is audited: the models and records of a run, or those that the command line names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from relearn.audit.pipeline import AuditSubject, Role, Suspect
from relearn.base.errors import UserError
from relearn.base.storage import read_json
from relearn.config import CONTROLS, NEVER_SAW, DataConfig, ModelConfig, RunConfig, load_config
from relearn.data.records import Record
from relearn.data.requests import EARLIER, by_request
from relearn.data.sources import Source, load_records, load_sets
from relearn.evaluation.evaluate import names_model
from relearn.models.checks import check_asked
from relearn.models.loading import (
    load_config_of,
    load_prompt_format,
    model_folder,
    position_limit,
    tokenizer_named,
)
from relearn.models.place import ModelPlace, folders_of, named_path
from relearn.run_folder import adapter_folder, check_private_data, read_manifest, target_folder
from relearn.training.memorize import memorize


def from_run(
    run: Path,
    named: Sequence[str] = (),
    control: str | None = None,
    trainings: Sequence[str] | None = None,
) -> AuditSubject:
    """Return the models and records of a run.

    Args:
        run: Folder whose trainings are done.
        named: Further models, `NAME=PATH` each; an adapter is one of the target's.
        control: A model that never saw the forget set. Without it, a run that made its own target
            makes this one too, from the retain set by the same recipe; it is cached.
        trainings: Names of the run's own models that are judged; None means all that there are.

    Raises:
        UserError: it is no run, a name or path is wrong, or a model is gone.
    """
    if not (run / "manifest.json").is_file():
        raise UserError(f"{run} is no run folder.", "Make one with `relearn run`.")
    check_private_data(run)
    config = load_config(run / "config.yaml")
    target, base = target_folder(run), model_folder(config.model.name)
    sets = {
        name: load_records(str(file), None, name)
        for name in ("forget", EARLIER, "retain", "retain_unseen")
        if (file := run / "data" / f"{name}.jsonl").is_file()
    }
    suspects = [Suspect(ModelPlace("target", target), "target")]
    if base != target:
        suspects.append(Suspect(ModelPlace("base", base), "base"))
    summary = run / "summary.json"
    failed = read_json(summary)["failed"] if summary.is_file() else {}
    for name in config.trainings if trainings is None else trainings:
        if name not in failed:
            folders = folders_of(adapter_folder(run, name), target)
            suspects.append(Suspect(ModelPlace(name, *folders), "unlearned"))
    suspects += [_suspect(*named_path(each, "--model"), target) for each in named]
    _check_names(suspects)
    # Last of all: it may have to be trained, and a mistake above is found without.
    made = read_manifest(run)["model"].get("never_saw")
    never_saw = model_folder(control or made) if control or made else never_saw_model(config, sets)
    if never_saw:
        suspects.append(Suspect(ModelPlace("never_saw", never_saw), "never_saw"))
        _check_names(suspects)
    retain = sets.get("retain_unseen") or sets["retain"]
    earlier = by_request(sets.get(EARLIER, ()))
    return AuditSubject(suspects, sets["forget"], retain, config.model, earlier)


def from_options(named: Sequence[str], forget: Source, retain: Source | None) -> AuditSubject:
    """Return the models and records that the command line names.

    Args:
        named: `NAME=PATH` each; `target`, `base` and `never_saw` are the controls, all others are
            judged. A path is whatever `--model` takes, or an adapter's folder.
        forget: What is to be gone.
        retain: What should have stayed.

    Raises:
        UserError: a name or path is wrong, or no model is to be judged.
    """
    pairs = [named_path(each, "--models") for each in named]
    first = dict(pairs).get("target") or pairs[0][1]
    target = model_folder(first)
    suspects = [_suspect(name, path, target) for name, path in pairs]
    _check_names(suspects)
    if all(suspect.role != "unlearned" for suspect in suspects):
        raise UserError(
            "there is no model to judge: all are controls.",
            "Give --models NAME=PATH with another name than target, base and never_saw.",
        )
    sources = {"forget": forget} | ({} if retain is None else {"retain": retain})
    sets, config = load_sets(sources, DataConfig(), ModelConfig(name=first), tokenizer_named)
    return AuditSubject(suspects, sets["forget"], sets.get("retain", ()), config)


def check_never_saw(config: RunConfig) -> None:
    """Refuse to make a model that never saw the forget set where the target is not made either.

    Raises:
        UserError: says so.
    """
    if config.evaluation.retain_model == NEVER_SAW and not config.memorize:
        raise UserError(
            "evaluation.retain_model: a run makes the model never_saw only if it makes its target.",
            "Name a model that was trained without the forget set.",
        )


def check_retain_model(config: RunConfig, sets: Mapping[str, Sequence[Record]]) -> None:
    """Refuse a retain model that there is not, or that can't be asked.

    Raises:
        UserError: says why.
    """
    given = config.evaluation.retain_model
    if given and names_model(given) and given != NEVER_SAW:
        folder = model_folder(given)
        positions = position_limit(load_config_of(folder, config.model))
        prompt_format = load_prompt_format(folder, config.model)
        check_asked(prompt_format, sets, positions, config.evaluation.max_new_tokens)


def never_saw_model(config: RunConfig, sets: Mapping[str, Sequence[Record]]) -> Path | None:
    """Return the retain model that is named; else make it, if the run made its target itself.

    That one learned the retain sets alone. Every process takes part; see
    `relearn.training.memorize`.
    """
    given = config.evaluation.retain_model
    if given and names_model(given) and given != NEVER_SAW:
        return model_folder(given)
    if not config.memorize:
        return None
    kept = [record for name in ("retain", "retain_unseen") for record in sets.get(name, ())]
    title = f"memorizing without the forget set ({NEVER_SAW})"
    return memorize(kept, config.model, config.memorize, config.seed, title=title)


def _suspect(name: str, path: str, target: Path) -> Suspect:
    # A control is known by its name.
    role: Role = next((control for control in CONTROLS if control == name), "unlearned")
    return Suspect(ModelPlace(name, *folders_of(path, target)), role)


def _check_names(suspects: Sequence[Suspect]) -> None:
    names = [suspect.place.name for suspect in suspects]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"two models are called {twice!r}.", "Give each a name of its own.")
