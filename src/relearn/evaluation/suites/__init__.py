"""Suites: which metrics are taken of which sets. Each is a YAML file of this package."""

from collections.abc import Iterable, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter

from relearn.base.errors import UserError
from relearn.base.yaml_files import read_yaml, validated
from relearn.config import Section
from relearn.data.formats import SUFFIXES
from relearn.evaluation.metrics import METRICS
from relearn.evaluation.metrics.base import chosen_metrics
from relearn.evaluation.rows import SetName


class Suite(Section):
    """What a suite's file says.

    Attributes:
        description: One line for `relearn list suites`.
        sets: File of each set, without its suffix, in the folder that `--data` names.
        optional_sets: Likewise, of sets that may be absent.
        metrics: By name, with an option as `mia_min_k_auc(k=0.4)`; empty means all.
        further: Metrics to compute as well where there is such a set, or a retain model.
    """

    description: str = ""
    sets: dict[SetName, str] = Field({})
    optional_sets: dict[SetName, str] = Field({})
    metrics: list[str] = Field([])
    further: dict[SetName | Literal["retain_model"], list[str]] = Field({})

    def metric_names(self, sets: Iterable[str] = (), retain_model: str | None = None) -> list[str]:
        """Return the names of the metrics.

        Args:
            sets: Names of the sets that there are.
            retain_model: The retain model, if there is one.
        """
        given = {*sets, *(["retain_model"] if retain_model else [])}
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


def set_sources(suite: Suite, data: Sequence[str]) -> dict[SetName, str]:
    """Return where the records of each of a suite's sets are, as `load_sets` takes it.

    Args:
        suite: Says how its files are called.
        data: Folders with the suite's files, and `SET=SOURCE` for single sets; later ones win.

    Raises:
        UserError: a set of the suite is missing.
    """
    sources: dict[SetName, str] = {}
    for entry in data:
        name, separator, source = entry.partition("=")
        if separator and not Path(entry).exists():
            if name not in SetName.__args__:  # type: ignore[attr-defined]
                known = ", ".join(SetName.__args__)  # type: ignore[attr-defined]
                raise UserError(f"--data {entry}: no set is called {name!r}.", f"Known: {known}.")
            sources[name] = source  # type: ignore[index]
        else:
            sources |= _in_folder(suite, Path(entry))
    missing = [name for name in suite.sets if name not in sources]
    if missing or not sources:
        wanted = ", ".join(f"{name} ({file}.*)" for name, file in suite.sets.items())
        raise UserError(
            f"there is no {' and no '.join(missing) or 'forget'} set.",
            f"Give --data FOLDER or --data SET=FILE. The suite's sets: {wanted or 'any'}.",
        )
    return sources


def _in_folder(suite: Suite, folder: Path) -> dict[SetName, str]:
    if not folder.is_dir():
        raise UserError(f"--data {folder} is no folder.", "Give a folder, or SET=FILE.")
    found: dict[SetName, str] = {}
    for name, stem in {**suite.optional_sets, **suite.sets}.items():
        for file in sorted(folder.glob(f"{stem}.*")):
            endings = Path(f"_{file.name.removeprefix(stem)}").suffixes
            if endings and all(ending in SUFFIXES for ending in endings):
                found[name] = str(file)
    return found
