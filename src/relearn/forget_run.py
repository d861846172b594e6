"""Deleting the private data of a run; what is left are hashes, figures and the released model.

What may stay is named, so that whatever else a run folder holds goes: files of a killed process,
or of a stage that did not exist when this was written.
"""

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relearn.base.errors import UserError
from relearn.base.storage import atomic_path, content_hash, read_json, write_json, write_text
from relearn.base.workspace import Workspace
from relearn.config import (
    EVALUATED_ONLY,
    UNLEARNED,
    MemorizeConfig,
    ReportConfig,
    RunConfig,
    dump_config,
    load_config,
)
from relearn.data.records import Record
from relearn.data.sources import load_records
from relearn.models.adapters import is_adapter
from relearn.models.merging import write_merged
from relearn.report import write_model_card, write_report
from relearn.report.results import REDACTED, redacted_config, redacted_manifest
from relearn.run_folder import FORGOTTEN, is_run, read_manifest
from relearn.store.cache import cache_folder, cache_lock
from relearn.store.embedded import EMBEDDED
from relearn.training.memorize import target_place

RELEASED = "released"
"""Folder, in a run's, of the unlearned model, merged because its target is deleted."""

# Hashes and figures; `_rewrite` takes the texts out of those that have any.
_FIGURES = (
    "manifest.json", "config.yaml", "summary.json", "compare.json", "compare.csv",
    "training/*/history.jsonl", "training/*/evaluations.jsonl",
    "training/*/localization.json", "evaluation/*/metrics.json", "evaluation/*/intervals.json",
    "evaluation/*/comparison.json", "audit/summary.json", "analysis/figures.json", ".lock",
)  # fmt: skip
_MADE = ("targets", "merged", "gguf")  # kinds of cached models that are a run's or its user's
_HASH = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Plan:
    """What forgetting a run will do.

    Attributes:
        run: Its folder.
        deleted: Files in it that go, with their sizes in bytes.
        links: Links in it that go; what they lead to stays.
        cached: Models in the cache that go.
        merged: Whether its unlearned model is merged first, as the target that it needs goes.
        out_of_reach: What can't be deleted, a line each.
    """

    run: Path
    deleted: Mapping[Path, int]
    links: list[Path]
    cached: list[Path]
    merged: bool
    out_of_reach: list[str]


def plan(run: Path) -> Plan:
    """Find out what forgetting a run will delete; nothing is changed.

    Args:
        run: Its folder; it may be half-finished, or half-forgotten.

    Raises:
        UserError: it is no run folder.
    """
    run = run.resolve()
    manifest, config = _read(run)
    cached = _cached(run, manifest, config)
    merged = _needs_merging(run, manifest, cached)
    deleted, links = {}, []
    released = merged or (run / RELEASED).is_dir()
    for place, status in _files(run):
        if stat.S_ISLNK(status.st_mode):
            links.append(place)
        elif not _stays(place, released):
            deleted[place] = status.st_size
    return Plan(run, deleted, links, cached, merged, _out_of_reach(manifest, config))


def forget_run(run: Path) -> Plan:
    """Delete a run's private data, and return what was done.

    A killed one goes on when it is called again. Links are deleted, never followed.

    Raises:
        UserError: it is no run folder, another process works in it, or a file can't be deleted.
    """
    run = run.resolve()
    _read(run)
    with Workspace(run, "a run", is_run), _deleting(run):
        todo = plan(run)
        manifest, config = _read(run)
        # First of all: nothing may resume a run that lacks half its files.
        # And half a cached model is no longer known by its content.
        going = [str(place) for place in todo.cached]
        manifest.setdefault(FORGOTTEN, {"begun": _now(), "cached": going})
        write_json(run / "manifest.json", manifest)
        if todo.merged:
            _release(run, manifest, config)
        for place in todo.cached:
            _delete_cached(place)
        released = (run / RELEASED).is_dir()
        # Links first: through one, a file elsewhere would be written.
        _delete(run, lambda place, is_link: is_link)
        _rewrite(run, config)
        _delete(run, lambda place, _: not _stays(place, released))
        if any(run.glob("evaluation/*/metrics.json")):
            write_report(run)
        manifest[FORGOTTEN].setdefault("finished", _now())
        write_json(run / "manifest.json", redacted_manifest(manifest))
    return todo


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(run: Path) -> tuple[dict[str, Any], RunConfig]:
    """Return manifest and configuration; a run killed in its first moment has the first alone."""
    manifest, config = run / "manifest.json", run / "config.yaml"
    if not _is_file(manifest):
        raise UserError(f"{run} is no run folder.", "Name the --output folder of a run.")
    return read_manifest(run), load_config(config) if _is_file(config) else RunConfig()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _files(run: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every file and link below a run folder, relative to it, with its own status."""
    for folder, names, files, here in os.fwalk(run, follow_symlinks=False):
        for name in [*files, *names]:
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                yield Path(folder).relative_to(run) / name, status


def _stays(place: Path, released: bool) -> bool:
    """Tell whether a file holds no private text, or is part of the model that is kept.

    Args:
        place: Of the file, no link, in the run folder.
        released: Whether that model is in `RELEASED`, and not where it was trained.
    """
    kept = (RELEASED,) if released else ("training", UNLEARNED)
    return place.parts[: len(kept)] == kept or any(
        len(place.parts) == len(Path(pattern).parts) and place.match(pattern)
        for pattern in _FIGURES
    )


def _cached(run: Path, manifest: Mapping[str, Any], config: RunConfig) -> list[Path]:
    """Return the models in the cache that were made of this run's data, or are its target."""
    if config.after:  # they are the earlier run's
        return []
    model = manifest.get("model", {})
    named = [Path(model[each]) for each in ("source", "target", "never_saw") if each in model]
    named += map(Path, manifest.get(FORGOTTEN, {}).get("cached", ()))
    places = [*named, *(_made(run, manifest, config, config.memorize) if config.memorize else [])]
    root = cache_folder().resolve()
    # A manifest may say anything: nothing outside of the cache is ever deleted.
    ours = {root / kind for kind in _MADE}
    found = [p.parent.resolve() / p.name for p in places if _HASH.fullmatch(p.name)]
    found += _same_models(root / "targets", model)
    return [p for p in dict.fromkeys(found) if p.parent in ours and any(_parts(p))]


def _same_models(targets: Path, model: Mapping[str, Any]) -> list[Path]:
    """Return the cached targets that are the run's model, as `relearn memorize` leaves one."""
    known = {model.get("sha256"), model.get("target_sha256")}
    folders = [p for p in targets.glob("*") if _HASH.fullmatch(p.name) and p.is_dir()]
    return [folder for folder in folders if content_hash(folder) in known]


def _made(
    run: Path, manifest: Mapping[str, Any], config: RunConfig, memorize: MemorizeConfig
) -> list[Path]:
    """Return where the cache has the models that the run made, finished or not."""
    sets: dict[str, list[Record]] = {
        name: load_records(str(file), None, name)
        for name in manifest.get("data", {})
        if _is_file(file := run / "data" / f"{name}.jsonl")
    }
    learned = [r for name, each in sets.items() if name not in EVALUATED_ONLY for r in each]
    kept = [r for name in ("retain", "retain_unseen") for r in sets.get(name, ())]
    try:
        return [target_place(rs, config.model, memorize, config.seed) for rs in (learned, kept)]
    except UserError:  # the model that it started from is gone
        return []


def _parts(place: Path) -> list[Path]:
    """Return a cached model, and what belongs to it: its lock, checkpoints, half-written files."""
    return [*place.parent.glob(f"{place.name}*"), *place.parent.glob(f".{place.name}*")]


def _delete_cached(place: Path) -> None:
    with cache_lock(place):
        for part in _parts(place):
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part)
            else:
                part.unlink()


def _needs_merging(run: Path, manifest: Mapping[str, Any], cached: list[Path]) -> bool:
    """Tell whether the unlearned model would be lost with the target that it is an adapter of."""
    target = Path(manifest.get("model", {}).get("target", "/")).resolve()
    going = target in cached or target.is_relative_to(run)
    adapter = run / "training" / UNLEARNED
    return going and target.is_dir() and is_adapter(adapter) and not (run / RELEASED).is_dir()


def _release(run: Path, manifest: Mapping[str, Any], config: RunConfig) -> None:
    """Write the unlearned model as a plain model folder."""
    with atomic_path(run / RELEASED) as temporary:
        target, adapter = Path(manifest["model"]["target"]), run / "training" / UNLEARNED
        write_merged(target, adapter, temporary, config.model)
        if any(run.glob("evaluation/*/metrics.json")):
            write_model_card(run, temporary)


def _delete(run: Path, chosen: Callable[[Path, bool], bool]) -> None:
    """Delete what is chosen of files and links in a run folder, and folders that are then empty.

    Args:
        run: The folder.
        chosen: Gets a place in the folder, and whether it is a link.
    """
    for folder, names, files, here in os.fwalk(run, topdown=False, follow_symlinks=False):
        for name in [*files, *names]:
            mode = os.stat(name, dir_fd=here, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                if not os.listdir(Path(folder) / name):
                    os.rmdir(name, dir_fd=here)
            elif chosen(Path(folder).relative_to(run) / name, stat.S_ISLNK(mode)):
                os.unlink(name, dir_fd=here)


def _rewrite(run: Path, config: RunConfig) -> None:
    """Take the texts out of the files that stay without them; there are no links any more."""
    for name in ("summary.json", "compare.json"):
        if (file := run / name).is_file():
            write_json(file, _summary(read_json(file)))
    shown = config.model_copy(update={"report": ReportConfig(redact=True)})
    write_text(run / "config.yaml", dump_config(redacted_config(shown)))
    if (analysis := run / "analysis" / "summary.json").is_file():
        write_json(analysis.with_name("figures.json"), read_json(analysis)["figures"])


def _without_ids(found: Any) -> Any:
    """Return lists, in mappings or not, with as many entries that say nothing."""
    if isinstance(found, dict):
        return {name: _without_ids(each) for name, each in found.items()}
    return [REDACTED for _ in found] if isinstance(found, list) else REDACTED


def _summary(found: dict[str, Any]) -> dict[str, Any]:
    """Return a run's or a comparison's summary without ids, messages and names."""
    names = [each for each in ("unanswered", "failed") if each in found]
    rewritten = found | {name: _without_ids(found[name]) for name in names}
    if "sequence" in found:
        rewritten["sequence"] = [entry | {"run": REDACTED} for entry in found["sequence"]]
    return rewritten


def _out_of_reach(manifest: Mapping[str, Any], config: RunConfig) -> list[str]:
    """Return what nobody but the user can delete."""
    lines = []
    sources = {name: each.get("source") for name, each in manifest.get("data", {}).items()}
    for name, source in sources.items():
        if source and source != REDACTED and not source.startswith("paraphrases of "):
            lines.append(f"the {name} set where it came from: {source}")
    if config.model.name not in EMBEDDED:
        lines.append(f"the model that was given, if it knew the data: {config.model.name}")
    if config.after and config.after != REDACTED:
        lines.append(f"the run before, with its data and its target: {config.after}")
    sent = {config.synthesis.llm.base_url} if config.synthesis.backend == "openai" else set()
    if config.evaluation.entities == "llm" and config.evaluation.backend == "openai":
        sent.add(config.evaluation.llm.base_url)
    lines += [f"what was sent to {url or 'the endpoint'}" for url in sent]
    return [
        *lines,
        "copies elsewhere: exported models and reports, audits in other folders, runs that went on "
        "from this one, the hub's cache of datasets, backups, blocks of the disk that are free now",
        "what the unlearned model still tells: see the audit's figures",
    ]


@contextmanager
def _deleting(run: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise UserError(
            f"{error.filename or run} can't be deleted: {error.strerror}.",
            "Take the right to write there, and repeat the command.",
        ) from error
