"""Sources: where records come from; a file, a hub dataset, a benchmark or the shipped sample."""

import os
import re
from importlib import resources
from pathlib import Path

import datasets
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from relearn.config import ColumnsConfig
from relearn.data.columns import records_from_rows
from relearn.data.formats import SUFFIXES, Row, object_row, read_rows
from relearn.data.records import Record
from relearn.errors import UserError

# Benchmarks by short name, with the hub dataset that holds them: `tofu:forget10` is
# `locuslab/TOFU:forget10`, `knowundo:privacy:unlearn:train` is `zjunlp/KnowUnDo:privacy:…`.
BENCHMARKS = {"tofu": "locuslab/TOFU", "knowundo": "zjunlp/KnowUnDo"}

DEMO_SETS = ("forget", "retain", "forget_unseen", "retain_unseen")

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(:[^:]+){0,3}")
_PROBE_SECONDS = 2.0


def load_records(
    source: str, columns: ColumnsConfig | None = None, set_name: str = "forget"
) -> list[Record]:
    """Load and validate the records of one set.

    Args:
        source: One of

            - a file: JSON (a list of objects, an object that wraps one list, or JSON lines
              whatever the suffix says), JSON lines, CSV, TSV or Parquet, gzipped or not;
            - `demo:forget`, `demo:retain`, `demo:forget_unseen`, `demo:retain_unseen`: the
              shipped sample;
            - a hub dataset as `org/name[:config[:split[:column]]]`; with `column`, the records
              are the list in that column;
            - a benchmark, with the rest of a hub dataset's name: `tofu:forget10`,
              `knowundo:privacy:unlearn:train`.
        columns: Names of the columns; None, and each that is None, is found by its usual names.
        set_name: "forget", "retain", …; part of the ids of records that have none.

    Returns:
        At least one record, in the source's order, with unique ids.

    Raises:
        UserError: the source can't be read or a record is bad; the message names the place.
    """
    return records_from_rows(_rows(source), columns or ColumnsConfig(), set_name, source)


def _rows(source: str) -> list[Row]:
    kind, _, rest = source.partition(":")
    path = Path(os.path.expanduser(source))
    if os.path.exists(path):
        return read_rows(_file_bytes(path, source), source)
    if kind == "demo":
        return _demo_rows(rest)
    if kind in BENCHMARKS:
        return _hub_rows(":".join(filter(None, (BENCHMARKS[kind], rest))))
    looks_local = path.suffix.lower() in SUFFIXES or os.path.isdir(path.parent)
    if not looks_local and _HUB_NAME.fullmatch(source):
        return _hub_rows(source)
    raise UserError(
        f"{source} does not exist.",
        f"Give a file, a hub dataset (org/name), demo:… or {':…, '.join(BENCHMARKS)}:….",
    )


def _file_bytes(path: Path, source: str) -> bytes:
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise UserError(f"{source} is {kind}.", "Give a file of records.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{source} can't be read: {error.strerror}.", "Check it.") from error


def _demo_rows(name: str) -> list[Row]:
    if name not in DEMO_SETS:
        known = ", ".join(f"demo:{known}" for known in DEMO_SETS)
        raise UserError(f"no sample is called demo:{name}.", f"Known: {known}.")
    file = resources.files("relearn.data") / "demo" / f"{name}.json"
    return read_rows(file.read_bytes(), file.name)


def _hub_rows(source: str) -> list[Row]:
    name, config, split, column, *_ = [*source.split(":"), None, None, None]
    _check_hub(str(name))
    return dataset_rows(str(name), config, split, column)


def _check_hub(name: str) -> None:
    """Ask the hub once for the dataset: `datasets` would retry for half a minute, aloud."""
    try:
        HfApi().repo_info(name, repo_type="dataset", timeout=_PROBE_SECONDS)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled):
        pass  # the hub answers, or only the cache is to be used: `datasets` words what is wrong
    except Exception as error:  # the HTTP library's own, another one in each version
        raise UserError(
            f"{name} is no local file, and no hub can be reached to look for a dataset.",
            "Give a local file; HF_HUB_OFFLINE=1 takes a dataset that is cached already.",
        ) from error


def dataset_rows(name: str, config: str | None, split: str | None, column: str | None) -> list[Row]:
    """Return the rows of a dataset that `datasets` loads, which runs no code that comes with it.

    Args:
        name: On the hub, or a local folder.
        config: Which of its configurations; None if it has but one.
        split: Which of its splits; None if it has but one.
        column: Take as rows the objects of the lists in this column, as KnowUnDo publishes them.

    Raises:
        UserError: there is no such dataset, configuration, split or column, or several to choose
            from.
    """
    try:
        loaded = datasets.load_dataset(name, config, split=split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"dataset {name}: {reason}.", "Write org/name:config:split.") from error
    if isinstance(loaded, dict):
        if len(loaded) > 1:
            raise UserError(
                f"dataset {name} has several splits: {', '.join(loaded)}.",
                f"Choose: {name}:{config or 'default'}:SPLIT.",
            )
        (loaded,) = loaded.values()
    values = loaded.to_list()
    if column is None:
        return [Row(f"row {i}", value) for i, value in enumerate(values, 1)]
    lists = [value.get(column) for value in values]
    if not all(isinstance(each, list) for each in lists):
        raise UserError(
            f"dataset {name} has no lists in a column {column!r}.",
            f"Columns: {', '.join(loaded.column_names)}.",
        )
    return [
        object_row(f"row {i} {column}[{j}]", value)
        for i, each in enumerate(lists, 1)
        for j, value in enumerate(each)
    ]
