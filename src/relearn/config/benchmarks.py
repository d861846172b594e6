"""Benchmarks by name: where their data are, what is measured of them, and their own models.

Each is a YAML file of the folder `benchmarks`.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from pydantic import Field, TypeAdapter

from relearn.base.errors import UserError
from relearn.base.registry import did_you_mean
from relearn.base.yaml_files import read_yaml, validated
from relearn.config.data import RUN_SETS, SetName
from relearn.config.section import Section


class Benchmark(Section):
    """What a benchmark's file says.

    Attributes:
        description: One line for `relearn list benchmarks`.
        paper: Where it was published.
        licence: Of its data.
        checked: What its layout was checked against, and when.
        access: What to do before a hub gives out the data; empty for nothing.
        hub: Its data set, for sources such as `tofu:forget10`.
        variants: By name, what stands for each `$word` of the fields below. The first is taken
            unless one is named, as in `muse:books`.
        model: Its target model, which knows what is to be forgotten.
        retain_model: Its model that never saw the forget set.
        sets: What `relearn evaluate` measures: by the name of the set, its source.
        asked: By set, how its questions are put to a model: a text with `{question}`.
        settings: Of a run; what a user sets comes first. Without `data`, a run takes `sets`.
    """

    description: str
    paper: str
    licence: str
    checked: str
    access: str = ""
    hub: str | None = None
    variants: dict[str, dict[str, str]] = Field({})
    model: str | None = None
    retain_model: str | None = None
    sets: dict[SetName, str]
    asked: dict[SetName, str] = Field({})
    settings: dict[str, Any]

    def settings_beneath(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a run that the user's are laid over.

        The benchmark's retain model goes with its own model only.

        Args:
            given: What the user sets.
        """
        model, evaluation = (dict(self.settings.get(name, {})) for name in ("model", "evaluation"))
        if self.model and not (given.get("model") or {}).get("name"):
            model["name"], evaluation["retain_model"] = self.model, self.retain_model
        own_sets = {name: source for name, source in self.sets.items() if name in RUN_SETS}
        data = (self.settings.get("data") or {}) or own_sets
        return {**self.settings, "model": model, "data": data, "evaluation": evaluation}


def benchmark_names() -> list[str]:
    """Return the names of the benchmarks."""
    return sorted(_files())


@cache
def hub_names() -> dict[str, str]:
    """Return the hub's data set of each benchmark that has but one."""
    found = ((name, _read(name).hub) for name in benchmark_names())
    return {name: hub for name, hub in found if hub}


def load_benchmark(name: str) -> Benchmark:
    """Return the benchmark `NAME`, or `NAME:VARIANT`, with the variant's words in place.

    Raises:
        UserError: there is no such benchmark or variant.
    """
    own, _, variant = name.partition(":")
    if own not in _files():
        raise UserError(f"no benchmark is called {own!r}.", did_you_mean(own, benchmark_names()))
    benchmark = _read(own)
    if variant and variant not in benchmark.variants:
        raise UserError(
            f"benchmark {own} has no variant {variant!r}.",
            did_you_mean(variant, benchmark.variants),
        )
    words = benchmark.variants.get(variant) or next(iter(benchmark.variants.values()), {})
    filled = {field: _filled(getattr(benchmark, field), words) for field in _FILLED}
    return benchmark.model_copy(update=filled)


_FILLED = ("model", "retain_model", "sets", "settings")


def _files() -> dict[str, Path]:
    folder = Path(str(files("relearn") / "benchmarks"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def _read(name: str) -> Benchmark:
    what, hint = f"benchmark {name}", "Fix its file."
    content = read_yaml(_files()[name], what, hint)
    return validated(content, TypeAdapter(Benchmark), what, hint)


def _filled(value: Any, words: dict[str, str]) -> Any:
    """Return a value with each `$word` in its texts replaced; what becomes empty is left out."""
    if isinstance(value, dict):
        found = {key: _filled(each, words) for key, each in value.items()}
        return {key: each for key, each in found.items() if each != ""}
    return Template(value).substitute(words) if isinstance(value, str) else value
