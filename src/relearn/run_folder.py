"""A run folder: its manifest, its stages, and the resuming of a run that was killed."""

import resource
import sys
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import relearn
from relearn.base.distributed import by_leader, is_leader, leaders
from relearn.base.distributed import together as by_all
from relearn.base.environment import host
from relearn.base.errors import UserError
from relearn.base.private import private_files
from relearn.base.storage import content_hash, read_json, write_json, write_text
from relearn.base.workspace import Workspace
from relearn.config import RunConfig, dump_config, load_config
from relearn.data.selection import selection
from relearn.run_files import check_whole, statuses, written

_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "spacy", "sentence-transformers")


GIVEN_MODEL = "model"
"""Folder, in a run's, of a model that was given in memory."""
FORGOTTEN = "forgotten"
"""Entry in the manifest of a run whose private data is, or is being, deleted."""


def is_run(names: Collection[str]) -> bool:
    """Tell from the names of what is in a folder whether it is a run's, or about to be one's."""
    return "manifest.json" in names or set(names) == {GIVEN_MODEL}


def _nothing() -> None:
    """Need no check."""


@dataclass(frozen=True)
class Stage:
    """One step of a run: a function that writes files, and what it needs.

    Attributes:
        name: In the manifest, such as `training/npo`.
        work: Writes the stage's files.
        check: Raises `UserError` where settings and data alone say that the stage would fail;
            called before the first stage works, and computes, sends and writes nothing.
        check_model: The same, by what the model is. To fetch a model may take minutes, so it is
            called after all that is in `check`.
        serves: Names of the trainings that can't go on without it; none where the whole run can't.
        together: All processes work, not the leader alone.
        final: Nothing is built on its files, which a later command may write anew.
    """

    name: str
    work: Callable[[], None]
    check: Callable[[], object] = _nothing
    check_model: Callable[[], object] = _nothing
    serves: tuple[str, ...] = ()
    together: bool = False
    final: bool = False


class RunFolder:
    """The folder of one run; as a context manager it keeps other processes out.

    Entering it makes the folder, or takes up a run of the same configuration where it stopped. What
    any process of the run writes meanwhile, nobody but its owner can read.

    Args:
        path: The folder.
        config: The run's configuration.
        data_hashes: Hash of each set of records, so that a resumed run can't mix two data sets.

    The manifest has hashes of the user's own files that settings name as well, such as extensions.

    Raises:
        UserError: (on entering) the folder holds something else, or another process works in it.
    """

    def __init__(self, path: Path, config: RunConfig, data_hashes: dict[str, str]) -> None:
        self.path = path
        self.config = config
        self._hashes = data_hashes
        self._workspace = Workspace(path, "a run", is_run)
        self.manifest: dict[str, Any] = {}
        self._held = ExitStack()

    def __enter__(self) -> Self:
        by_leader(self._enter)
        self._held.enter_context(private_files())
        self.manifest = leaders(self.manifest)
        return self

    def _enter(self) -> None:
        self._workspace.acquire()
        try:
            self._take_up()
        except BaseException:
            self._workspace.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._workspace.release()
        self._held.close()

    def _take_up(self) -> None:
        file = self.path / "manifest.json"
        if file.is_file():
            self.manifest = read_manifest(self.path)
            check_private_data(self.path)
            self._check_same_run()
            check_whole(self.path, self.manifest)
        else:
            self.manifest = {
                "relearn": relearn.__version__,
                "config_hash": content_hash(self.config.model_dump(mode="json")),
                "seed": self.config.seed,
                "versions": {name: version(name) for name in _LIBRARIES},
                "host": host(),
                "data": {name: {"sha256": sha} for name, sha in self._hashes.items()},
                "files": _file_hashes(self.config),
                "stages": {},
                "peak_memory_bytes": 0,
            }
            self.save()
        # After the manifest, by which a run is known again when it is killed in between.
        if not (self.path / "config.yaml").is_file():
            write_text(self.path / "config.yaml", dump_config(self.config))

    def _check_same_run(self) -> None:
        """Refuse to go on with a run of other settings, data or files."""
        used = f"output folder {self.path} is already used by a run"
        hint = "Choose another --output, or delete the folder."
        ours = self.config.model_dump(mode="json")
        if self.manifest["config_hash"] != content_hash(ours):
            file = self.path / "config.yaml"
            # Read as a configuration: settings that did not exist then have their defaults.
            theirs = load_config(file).model_dump(mode="json") if file.is_file() else None
            if not _adds_baselines(theirs, ours):
                field = _first_difference(theirs, ours)
                raise UserError(
                    f"{used} with another configuration ({field or 'it'} differs).", hint
                )
            write_text(file, dump_config(self.config))
            self.manifest["config_hash"] = content_hash(ours)
            self.save()
        for name, sha in self._hashes.items():
            if self.manifest["data"].get(name, {}).get("sha256") != sha:
                raise UserError(f"{used} with other {name} data.", hint)
        ours = _file_hashes(self.config)
        # A run of an earlier version has no hashes of files.
        theirs = self.manifest.setdefault("files", ours)
        for name, sha in ours.items():
            if theirs.get(name, sha) != sha:
                raise UserError(f"{used}; the content of {name} has changed since.", hint)

    def do(self, stage: Stage) -> None:
        """Do the work of `stage` unless it is done already; note its time and the peak memory.

        Raises:
            UserError: whatever the work raises, in every process.
        """
        if leaders(stage.name in self.manifest["stages"]):
            return
        start, before = time.perf_counter(), statuses(self.path)
        if stage.together:
            by_all(stage.work)
        else:
            by_leader(stage.work)
        self.manifest["stages"][stage.name] = {
            "seconds": round(time.perf_counter() - start, 2),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": written(self.path, before) if is_leader() and not stage.final else {},
        }
        self.manifest["peak_memory_bytes"] = max(
            self.manifest["peak_memory_bytes"], _peak_memory_bytes()
        )
        by_leader(self.save)

    def save(self) -> None:
        """Write the manifest."""
        if is_leader():
            write_json(self.path / "manifest.json", self.manifest)


def _file_hashes(config: RunConfig) -> dict[str, str]:
    """Return the hash of each file and folder of the user's own, by the setting that names it."""
    files: dict[str, str | None] = {f"extension {file}": file for file in config.extensions}
    files["synthesis.generic"] = selection(config.synthesis.generic).source
    files["evaluation.suite"] = config.evaluation.suite
    if retain_model := config.evaluation.retain_model:
        files["evaluation.retain_model"] = str(Path(retain_model) / "rows.jsonl")
    folders = {
        "synthesis.prompts": config.synthesis.prompts,
        "evaluation.lm_eval_path": config.evaluation.lm_eval_path,
    }
    named = {name: Path(place).expanduser() for name, place in (files | folders).items() if place}
    # What is no file is the name of something shipped, or of a dataset on a hub.
    return {
        name: content_hash(path)
        for name, path in named.items()
        if (path.is_dir() if name in folders else path.is_file())
    }


def read_manifest(run: Path) -> dict[str, Any]:
    """Return what a run's manifest says.

    Raises:
        UserError: the file is damaged.
    """
    try:
        found: dict[str, Any] = read_json(run / "manifest.json")
    except ValueError:
        raise UserError(
            f"{run / 'manifest.json'} is damaged, so that nothing says what this run has done.",
            "Restore it from a copy, or delete the run's folder and run again.",
        ) from None
    return found


def check_finished(run: Path) -> None:
    """Refuse what is not the folder of a finished run.

    Raises:
        UserError: it is not.
    """
    if not (run / "summary.json").is_file():
        raise UserError(f"{run} is not a finished run.", "Finish it with `relearn run`.")


def check_private_data(run: Path) -> None:
    """Refuse a run whose private data was deleted.

    Raises:
        UserError: it was, or half of it.
    """
    if FORGOTTEN in read_manifest(run):
        raise UserError(
            f"the private data of {run} was deleted by `relearn forget-run`.",
            "Only its figures and its unlearned model are left.",
        )


def target_folder(run: Path) -> Path:
    """Return the folder of a run's target model, the one before unlearning.

    Raises:
        UserError: it is not there any more.
    """
    folder = Path(read_manifest(run)["model"]["target"])
    if not folder.is_dir():
        check_private_data(run)
        raise UserError(
            f"the target model {folder} no longer exists.", "Run again with a new --output."
        )
    return folder


def adapter_folder(run: Path, trained: str) -> Path:
    """Return the folder of an adapter that a run trained.

    Args:
        run: The run folder.
        trained: `unlearned`, or a baseline's name.

    Raises:
        UserError: the run has none of that name.
    """
    folders = {
        folder.parent.name: folder.parent for folder in (run / "training").glob("*/history.jsonl")
    }
    if trained not in folders:
        raise UserError(
            f"{run} has no trained model {trained!r}.", f"Known: {', '.join(sorted(folders))}."
        )
    return folders[trained]


def _peak_memory_bytes() -> int:
    """Return the largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _adds_baselines(theirs: Any, ours: dict[str, Any]) -> bool:
    """Return whether ours differs in further baselines at most: what is done stays as it is."""
    if not theirs:
        return False
    known = {name: ours["baselines"].get(name) for name in theirs["baselines"]}
    return bool(ours | {"baselines": known} == theirs)


def _first_difference(theirs: Any, ours: Any, field: str = "") -> str:
    """Return the dotted name of the first setting that differs."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*ours, *theirs]:
            if theirs.get(key) != ours.get(key):
                return _first_difference(theirs.get(key), ours.get(key), f"{field}.{key}")
    return field.lstrip(".")
