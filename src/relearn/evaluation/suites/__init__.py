"""Suites: which metrics are taken of which sets. Each is a YAML file of this package."""

import os
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError

from relearn.base.errors import UserError
from relearn.base.yaml_files import read_yaml, validated
from relearn.config import RUN_SETS, Section, SetName
from relearn.data.formats import SUFFIXES
from relearn.data.records import RecordSets
from relearn.data.sources import Source
from relearn.evaluation.metrics import METRICS
from relearn.evaluation.metrics.base import chosen_metrics


class Suite(Section):
    """What a suite's file says.

    Attributes:
        description: One line for `relearn list suites`.
        sets: File of each set, without its suffix, in the folder that `--data` names.
        optional_sets: Likewise, of sets that may be absent.
        metrics: By name, with an option as `mia_min_k_auc(k=0.4)`; empty means all.
        further: Metrics to compute as well where there is such a set, a retain model, or
            passages of plain text in any set; and in a `run`, whose verdict rests on some.
    """

    description: str = ""
    sets: dict[SetName, str] = Field({})
    optional_sets: dict[SetName, str] = Field({})
    metrics: list[str] = Field([])
    further: dict[SetName | Literal["retain_model", "passages", "run"], list[str]] = Field({})

    def metric_names(
        self,
        sets: RecordSets = MappingProxyType({}),
        retain_model: str | None = None,
        in_run: bool = False,
    ) -> list[str]:
        """Return the names of the metrics.

        Args:
            sets: The sets that there are.
            retain_model: The retain model, if there is one.
            in_run: Whether a run evaluates, and not a command for this alone.
        """
        given = {*sets, *(["retain_model"] if retain_model else []), *(["run"] if in_run else [])}
        if any(record.continues for records in sets.values() for record in records):
            given.add("passages")
        further = [name for key, names in self.further.items() if key in given for name in names]
        return list(dict.fromkeys([*(self.metrics or METRICS), *further]))


def suite_names() -> list[str]:
    """Return the names of the suites that come with the package."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def load_suite(name: str) -> Suite:
    """Return the suite called `name`, or the one in the YAML file `name`.

    Raises:
        UserError: there is no such suite or file, or it is not a suite's.
    """
    if name in suite_names():
        file: Traversable = resources.files(__name__) / f"{name}.yaml"
    elif Path(name).is_file():
        file = Path(name)
    else:
        known = ", ".join(suite_names())
        raise UserError(f"no suite is called {name!r}.", f"Known: {known}; or give a YAML file.")
    what, hint = f"suite {name}", "Fix it."
    suite = validated(read_yaml(file, what, hint) or {}, TypeAdapter(Suite), what, hint)
    chosen_metrics(dict.fromkeys([*suite.metrics, *chain(*suite.further.values())]))
    return suite


EvaluationData = str | os.PathLike[str] | Sequence[str] | Mapping[SetName, Source]
"""Folder of a suite's files; folders and `SET=SOURCE`; or in Python, each set's source by name."""


def set_sources(
    suite: Suite, data: EvaluationData, benchmark: Mapping[SetName, str] = MappingProxyType({})
) -> dict[SetName, Source]:
    """Return where the records of each of a suite's sets are, as `load_sets` takes it.

    Args:
        suite: Says how its files are called.
        data: Where the sets are; of several entries for one set, the last wins.
        benchmark: Where a benchmark has its sets; those that `data` names are taken instead, and
            none of these where it names a folder.

    Raises:
        UserError: a set of the suite is missing.
    """
    sources: dict[SetName, Source] = {}
    if isinstance(data, Mapping):
        for name in data:
            _check_set(name, f"data[{name!r}]")
        sources = dict(data)
    else:
        entries = [os.fspath(data)] if isinstance(data, str | os.PathLike) else data
        for entry in entries:
            sources |= _entry(suite, entry)
        if any(_is_folder(entry) for entry in entries):
            benchmark = {}
    sources = {**benchmark, **sources}
    missing = [name for name in suite.sets if name not in sources]
    if missing or not sources:
        wanted = ", ".join(f"{name} ({file}.*)" for name, file in suite.sets.items())
        raise UserError(
            f"there is no {' and no '.join(missing) or 'forget'} set.",
            f"Give --data FOLDER or --data SET=FILE. The suite's sets: {wanted or 'any'}.",
        )
    return sources


def _entry(suite: Suite, entry: str) -> dict[SetName, Source]:
    if _is_folder(entry):
        return _in_folder(suite, Path(entry))
    name, _, source = entry.partition("=")
    _check_set(name, f"--data {entry}")
    return {name: source}


def _is_folder(entry: str) -> bool:
    return "=" not in entry or Path(entry).exists()


def _check_set(name: str, where: str) -> None:
    try:
        TypeAdapter(SetName).validate_python(name)
    except ValidationError:
        raise UserError(
            f"{where}: no set is called {name!r}.",
            f"Known: {', '.join(RUN_SETS)}; others begin with forget_, retain_ or holdout_.",
        ) from None


def _in_folder(suite: Suite, folder: Path) -> dict[SetName, Source]:
    if not folder.is_dir():
        raise UserError(f"--data {folder} is no folder.", "Give a folder, or SET=FILE.")
    found: dict[SetName, Source] = {}
    for name, stem in {**suite.optional_sets, **suite.sets}.items():
        for file in sorted(folder.glob(f"{stem}.*")):
            endings = Path(f"_{file.name.removeprefix(stem)}").suffixes
            if endings and all(ending in SUFFIXES for ending in endings):
                found[name] = str(file)
    return found
