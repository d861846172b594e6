"""Reading and writing a configuration: YAML, then command-line overrides."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from relearn.base.errors import UserError
from relearn.base.yaml_files import yaml_stream
from relearn.config.benchmarks import load_benchmark
from relearn.config.data import EVALUATED_ONLY
from relearn.config.describe import describe_settings
from relearn.config.recipes import recipes
from relearn.config.run import RunConfig


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    named: Mapping[str, Any] | None = None,
    *,
    inherit: bool = False,
) -> RunConfig:
    """Read a YAML configuration and override fields of it.

    Args:
        path: A YAML file, or the name of a recipe (`demo`); None means the defaults.
        overrides: Such as `training.epochs=3`, values in YAML; applied last.
        named: Values by dotted field, taken as they are.
        inherit: With `after`, take what is not set here from that run: all settings but its
            forget sets, how its target was made, and its baselines.

    Raises:
        UserError: the file is missing or is no YAML, or a field is unknown or out of its range;
            the message names the field. Or `after` is no run folder.
    """
    if path and not path.is_file():
        path = recipes().get(str(path), path)
    try:
        _check_fields(overrides)
        merged = OmegaConf.merge(_read(path) if path else {}, _nested(named or {}))
        for field in _emptied(overrides):
            OmegaConf.update(merged, field, {}, merge=False)
        merged = OmegaConf.merge(merged, OmegaConf.from_dotlist(list(overrides)))
        benchmark = OmegaConf.select(merged, "benchmark")
        if isinstance(benchmark, str) and benchmark.isprintable():
            beneath = load_benchmark(benchmark).settings_beneath(dict(merged))
            merged = OmegaConf.merge(beneath, merged)
        if inherit and (after := OmegaConf.select(merged, "after")):
            merged = OmegaConf.merge(_settings_of_run(Path(after)), merged)
        settings = OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
        return RunConfig.model_validate(settings or {})
    except FileNotFoundError as error:
        raise UserError(
            f"configuration {path} does not exist.",
            f"Name a YAML file, or a recipe: {', '.join(recipes())}.",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[0].lower() + reason[1:].rstrip(".")
        hint = _likely(field) if first["type"] == "extra_forbidden" else ""
        raise UserError(
            f"configuration field {field!r}: {reason}.", hint or "See `relearn list settings`."
        ) from error
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, OSError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise UserError(
            f"configuration {path or ' '.join(overrides)}: {reason}.",
            "Fix the file or setting.",
        ) from error


def _read(path: Path) -> DictConfig:
    """Return what is in a YAML file."""
    stream = yaml_stream(path)
    if isinstance(yaml.safe_load(stream), str):  # OmegaConf would read it as YAML once more
        raise ValueError("it is a text, not settings by name")
    stream.seek(0)
    settings = OmegaConf.load(stream)
    if not isinstance(settings, DictConfig):
        raise ValueError("it is a list, not settings by name")
    return settings


# What other programs call a setting.
_ELSEWHERE = {
    "chat_template_kwargs": "model.prompt.arguments",
    "template_kwargs": "model.prompt.arguments",
    "enable_thinking": "model.prompt.arguments.enable_thinking",
    "date_string": "model.prompt.date",
    "chat_template": "model.prompt.template",
    "system_prompt": "model.system",
}


def _likely(field: str) -> str:
    """Return a hint at the setting that an unknown one was likely meant to be."""
    last = field.rpartition(".")[2]
    known = describe_settings()
    if field in known:
        return f"Write {field.partition('.')[2]} below {field.partition('.')[0]}:, indented."
    # Sections too: "trainig" is "training", not one of its settings.
    sections = dict.fromkeys(name.rpartition(".")[0] for name in known if "." in name)
    close = get_close_matches(field, [*sections, *known], 1)
    close = close or [k for k in known if k.endswith(f".{last}")][:1]
    meant = _ELSEWHERE.get(last) or next(iter(close), None)
    return f"Did you mean {meant}? See `relearn list settings`." if meant else ""


# Names with dots between, or in brackets, as OmegaConf takes them.
_FIELD = re.compile(r"[^][.]+(\.[^][.]+|\[[^][.]+\])*")


def _check_fields(overrides: Sequence[str]) -> None:
    """Refuse overrides of what can be no field, on some of which OmegaConf stumbles."""
    for override in overrides:
        field = override.partition("=")[0]
        if not _FIELD.fullmatch(field):
            raise ValueError(f"{field!r} is no field, such as training.epochs")


def _emptied(overrides: Sequence[str]) -> list[str]:
    """Return the fields set to `{}`, which, merged with what is there, would change nothing."""
    pairs = [override.partition("=") for override in overrides]
    return [field for field, _, value in pairs if value.strip() == "{}"]


def _nested(named: Mapping[str, Any]) -> DictConfig:
    config = OmegaConf.create()
    for field, value in named.items():
        OmegaConf.update(config, field, value)
    return config


def _settings_of_run(folder: Path) -> DictConfig:
    """Return the settings that a further run takes from the run in `folder`."""
    file = folder / "config.yaml"
    if not file.is_file():
        raise UserError(
            f"after: {folder} is no run folder.", "Name the --output folder of an earlier run."
        )
    settings = _read(file)
    own = {"after", "baselines", "benchmark", "data", "memorize"}
    kept = {
        name: str(records)
        for name in ("retain", "retain_unseen", *EVALUATED_ONLY)
        if (records := folder / "data" / f"{name}.jsonl").is_file()
    }
    others = {name: value for name, value in settings.items() if name not in own}
    # It may have seen what is to be forgotten now.
    others["evaluation"] = {**others.get("evaluation", {}), "retain_model": None}
    return OmegaConf.create({**others, "data": kept})


def dump_config(config: RunConfig) -> str:
    """Return the fully resolved configuration as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(config.model_dump(mode="json")))
