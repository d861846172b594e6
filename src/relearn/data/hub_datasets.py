"""Rows of data sets that `datasets`, an extra, loads: from a hub, its cache, a folder."""

import logging

import datasets
import pyarrow
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
)

from relearn.base.errors import UserError
from relearn.base.quiet import quiet
from relearn.data.json_rows import object_row
from relearn.data.rows import Row, shown

_PROBE_SECONDS = 2.0


def hub_rows(source: str) -> list[Row]:
    """Return the rows of a hub's dataset; see `relearn.data.sources.load_records`.

    Raises:
        UserError: there is none, or no hub can be reached.
    """
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
            f"{name} is not a local file, and no hub can be reached to look for a dataset.",
            "Give a local file; with HF_HUB_OFFLINE=1, a cached dataset is used.",
        ) from error


def _refusal(name: str, error: Exception) -> UserError:
    chain = [error, error.__cause__, error.__context__]
    if any(isinstance(e, GatedRepoError) or "is a gated dataset" in str(e) for e in chain):
        return UserError(
            f"dataset {name} is gated: its owner gives it out on request.",
            "Ask on its page on the hub, then log in: `hf auth login`, or set HF_TOKEN.",
        )
    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        return UserError(
            f"there is no dataset {name} on the hub, or it is private.",
            "Check the name; for a private one log in: `hf auth login`, or set HF_TOKEN.",
        )
    return UserError(f"dataset {name}: {_dataset_reason(error)}.", "Write org/name:config:split.")


def _dataset_reason(error: Exception) -> str:
    """Return why `datasets` gave up, without values of a file that it could not read."""
    about_values = (
        pyarrow.ArrowException, UnicodeError, ArithmeticError, datasets.table.CastError,
        datasets.exceptions.DatasetGenerationError,
    )  # fmt: skip
    if isinstance(error, about_values) or error.__cause__ or error.__context__:
        return f"its files can't be read ({type(error).__name__})"
    return " ".join(str(error).split()).rstrip(".")


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
        # Where it can't read a file, it would log the values there.
        with quiet("datasets", below=logging.CRITICAL):
            loaded = datasets.load_dataset(name, config, split=split)
    except (
        OSError, ValueError, RuntimeError, ArithmeticError, pyarrow.ArrowException,
        datasets.exceptions.DatasetsError,
    ) as error:  # fmt: skip
        raise _refusal(name, error) from error
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
            f"Columns: {shown(loaded.column_names)}.",
        )
    return [
        object_row(f"row {i} {column}[{j}]", value)
        for i, each in enumerate(lists, 1)
        for j, value in enumerate(each)
    ]
