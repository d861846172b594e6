"""Sources: where records come from: a file, a hub dataset, a benchmark, the sample, or objects."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from transformers import PreTrainedTokenizerBase

from relearn.base.distributed import process_count
from relearn.base.errors import UserError
from relearn.base.extras import need
from relearn.base.progress import note
from relearn.base.quiet import quiet
from relearn.config import EVALUATED_ONLY, ColumnsConfig, DataConfig, ModelConfig, hub_names
from relearn.data.columns import RecordSet, columns_of, has_column, records_from_rows
from relearn.data.formats import PROSE_SUFFIXES, SUFFIXES, prose_rows, read_rows
from relearn.data.json_rows import object_row
from relearn.data.packed import check_size
from relearn.data.passages import Cut, windows
from relearn.data.records import Record
from relearn.data.rows import Row
from relearn.data.selection import selection

Name = TypeVar("Name", bound=str)

Tokenizers = Callable[[ModelConfig], PreTrainedTokenizerBase]
"""From how a model is named to its tokenizer; called only where plain text is to be cut."""

Source = str | os.PathLike[str] | Iterable[Mapping[str, Any]]
"""What `load_records` names, or in Python the rows themselves: a list of dicts, a
`datasets.Dataset` or `IterableDataset`."""

DEMO_SETS = {
    "forget": "forget.json",
    "retain": "retain.json",
    "forget_unseen": "forget_unseen.json",
    "retain_unseen": "retain_unseen.json",
    "knowundo_forget": "knowundo/unlearn_train.json",
    "knowundo_retain": "knowundo/retention_train.json",
    "knowundo_forget_unseen": "knowundo/unlearn_val.json",
    "knowundo_retain_unseen": "knowundo/retention_val.json",
    "tofu_forget": "tofu/forget.jsonl",
    "tofu_retain": "tofu/retain.jsonl",
    "tofu_forget_unseen": "tofu/forget_unseen.jsonl",
    "tofu_retain_unseen": "tofu/retain_unseen.jsonl",
    "common_knowledge": "common_knowledge.jsonl",
}
"""File of each sample that ships with relearn, by name."""

STANDARD_INPUT = "-"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(:[^:]+){0,3}")


def load_records(
    source: Source, columns: ColumnsConfig | None = None, set_name: str = "forget"
) -> list[Record]:
    """Load and validate the records of one set; system messages that they bring are left out.

    Args:
        source: One of

            - a file: JSON (a list of objects, an object that wraps one list, or JSON lines
              whatever the suffix says), JSON lines, CSV, TSV, Parquet or an Excel workbook,
              packed (gzip, xz, bzip2, zstd, a zip archive of one file) or not;
            - a file of prose (`.txt`, `.md`), or a folder of such files;
            - `demo:forget`, `demo:retain`, `demo:forget_unseen`, `demo:retain_unseen`: the
              shipped sample; `demo:knowundo_forget` and so on: what it is cut from;
              `demo:common_knowledge`: shipped questions about no one in particular;
            - a hub dataset as `org/name[:config[:split[:column]]]`; with `column`, the records
              are the list in that column;
            - a benchmark's data set, with the rest of a hub dataset's name: `tofu:forget10`,
              `knowundo:privacy:unlearn:train`;
            - `-` for standard input;
            - in Python, the rows: a list of dicts, a `datasets.Dataset` or `IterableDataset`.

            With `#COLUMN=VALUE` after a name, only the records that have the value in that column,
            where `*` stands for any text.
        columns: Names of the columns; None, and each that is None, is found by its usual names.
        set_name: "forget", "retain", …; part of the ids of records that have none.

    Returns:
        At least one record, in the source's order, with unique ids.

    Raises:
        UserError: the source can't be read or a record is bad; the message names the place.
    """
    called = _called(source, set_name)
    found = _record_set(called, read_source(source), columns or ColumnsConfig(), set_name)
    if found.systems.keys() - {None}:
        note(f"{called}: its system messages are ignored")
    return found.records


def load_sets(
    sources: Mapping[Name, Source],
    data: DataConfig,
    model: ModelConfig,
    tokenizers: Tokenizers | None = None,
) -> tuple[dict[Name, list[Record]], ModelConfig]:
    """Load and validate the sets that are used together.

    Args:
        sources: What `load_records` takes, by the name of the set.
        data: Names of columns. One that a set lacks is looked for by its usual names there, as
            long as another set has it.
        model: How the model is asked.
        tokenizers: Finds the tokenizer by whose tokens plain text is cut into passages; None
            refuses it.

    Returns:
        The records of each set; and `model` with the system message that the sets' records bring,
        where it has none of its own.

    Raises:
        UserError: a source can't be read, a record is bad, or system messages differ.
    """
    sets, model = read_sets(sources, data, model, tokenizers)
    return {name: found.records for name, found in sets.items()}, model


def read_sets(
    sources: Mapping[Name, Source],
    data: DataConfig,
    model: ModelConfig,
    tokenizers: Tokenizers | None = None,
) -> tuple[dict[Name, RecordSet], ModelConfig]:
    """Do what `load_sets` does, and return with each set's records how they were read."""
    rows = {name: read_source(source) for name, source in sources.items()}
    called = {name: _called(source, name) for name, source in sources.items()}
    columns = _columns_of_sets(rows, called, data)

    cut = tokenizers and _cutting(tokenizers, model, data.passage_tokens)
    sets = {
        # Taken out, so that they are gone once their records are made.
        name: _record_set(called[name], rows.pop(name), columns[name], name, data.split_turns, cut)
        for name in sources
    }
    system = _system_message(sets, called, model.system)
    chosen = {
        name: replace(found, records=_only(found.records, data, name))
        for name, found in sets.items()
    }
    return chosen, model.model_copy(update={"system": system})


def _cutting(tokenizers: Tokenizers, model: ModelConfig, tokens: int) -> Cut:
    """Return what cuts plain text; the tokenizer is loaded at the first one."""

    @cache
    def tokenizer() -> PreTrainedTokenizerBase:
        return tokenizers(model)

    return lambda text: windows(tokenizer(), tokens)(text)


def _called(source: Source, name: str) -> str:
    """Return what messages call a source."""
    if not isinstance(source, str | os.PathLike):
        return f"the {name} set"
    source = os.fspath(source)
    return "standard input" if selection(source).source == STANDARD_INPUT else source


def _only(records: list[Record], data: DataConfig, name: str) -> list[Record]:
    """Return the records whose question holds one of the wanted texts; all if none are wanted."""
    wanted = [text.casefold() for text in data.only]
    if not wanted or name in EVALUATED_ONLY:
        return records
    chosen = [r for r in records if any(text in r.question.casefold() for text in wanted)]
    if not chosen:
        raise UserError(
            f"data.only: no question of the {name} set holds any of {', '.join(data.only)}.",
            "Give texts as they stand in the questions.",
        )
    return chosen


def _record_set(
    source: str,
    rows: list[Row],
    columns: ColumnsConfig,
    set_name: str,
    split_turns: bool = False,
    cut: Cut | None = None,
) -> RecordSet:
    found = records_from_rows(rows, columns, set_name, source, split_turns=split_turns, cut=cut)
    # What a known source's columns mean is no guess.
    if os.path.exists(os.path.expanduser(source)) or source.partition(":")[0] not in (
        "demo",
        *hub_names(),
    ):
        for line in found.notes:
            note(f"{source}: {line}")
    return found


def _columns_of_sets(
    rows: Mapping[Name, list[Row]], sources: Mapping[Name, str], data: DataConfig
) -> dict[Name, ColumnsConfig]:
    """Return each set's names of columns: its own, and of the general ones those that it has."""
    general = {field: column for field, column in data.columns if column is not None}
    names = {set_name: columns_of(of_set) for set_name, of_set in rows.items()}
    of_any = set().union(*names.values())
    found = {}
    for set_name, own in names.items():
        # Where no set has a column, it is a mistake, which the first set's reader words.
        lacks = [f for f, c in general.items() if not has_column(own, c) and has_column(of_any, c)]
        chosen = {field: column for field, column in general.items() if field not in lacks}
        given = data.set_columns.get(set_name, ColumnsConfig())
        chosen |= {field: column for field, column in given if column is not None}
        if missing := [general[field] for field in lacks if field not in chosen]:
            note(
                f"{sources[set_name]} has no column {', '.join(map(repr, missing))}: the usual "
                "names are used"
            )
        found[set_name] = ColumnsConfig(**chosen)
    return found


def _system_message(
    sets: Mapping[Name, RecordSet], sources: Mapping[Name, str], given: str | None
) -> str | None:
    """Return the one system message of a run: the configured one, else the records' own."""
    places: dict[str, str] = {}
    for name, found in sets.items():
        for system, place in found.systems.items():
            if system is not None:
                places.setdefault(system, f"{sources[name]} {place}")
    if given is not None:
        if places.keys() - {given}:
            note("model.system replaces the system messages in the sets")
        return given
    hint = "A run has one system message for all records: set model.system."
    if len(places) > 1:
        first, second, *_ = places.values()
        raise UserError(f"system messages differ: that of {first} and that of {second}.", hint)
    for name, found in sets.items():
        if len(found.systems) > 1:
            raise UserError(
                f"{sources[name]} {found.systems[None]} has no system message, but others do.", hint
            )
    if not places:
        return None
    note("the records' system message is used as model.system, in every prompt")
    return next(iter(places))


def read_source(source: Source) -> list[Row]:
    """Read the rows of a source; see `load_records`.

    Raises:
        UserError: the source can't be read.
    """
    if not isinstance(source, str | os.PathLike):
        return _given_rows(source)
    chosen = selection(os.fspath(source))
    return chosen.rows(_whole(chosen.source))


def _whole(source: str) -> list[Row]:
    """Return all rows of a source."""
    kind, _, rest = source.partition(":")
    path = Path(os.path.expanduser(source))
    if source == STANDARD_INPUT:
        return read_rows(_standard_input(), "standard input")
    if os.path.isdir(path):
        return _folder_rows(path, source)
    if os.path.exists(path):
        return read_file(path, source)
    if kind == "demo":
        return _demo_rows(rest)
    if kind in hub_names():
        return _hub_rows(":".join(filter(None, (hub_names()[kind], rest))))
    looks_local = path.suffix.lower() in SUFFIXES or os.path.isdir(path.parent)
    if not looks_local and _HUB_NAME.fullmatch(source):
        return _hub_rows(source)
    raise UserError(
        f"{source} does not exist.",
        f"Give a file, a hub dataset (org/name), demo:… or {':…, '.join(hub_names())}:….",
    )


def _hub_rows(source: str) -> list[Row]:
    need("datasets", f"{source}, a dataset of a hub,", "give a file")
    from relearn.data.hub_datasets import hub_rows

    return hub_rows(source)


@cache
def _standard_input() -> bytes:
    """Return what is piped in; it is read once, though several sets may be parts of it.

    Raises:
        UserError: nothing is piped in, or several processes would share it.
    """
    hint = "Pipe records into the command, or give a file."
    if process_count() > 1:
        raise UserError("several processes can't read standard input.", "Give a file.")
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError("- means standard input, but that is a terminal.", hint)
    data = sys.stdin.buffer.read()
    check_size(len(data), "standard input")
    return data


def _given_rows(source: Any) -> list[Row]:
    """Return the rows that were given as objects."""
    splits = isinstance(source, Mapping)  # as a DatasetDict is one
    if splits or not isinstance(source, Iterable):
        kind = f"a {type(source).__name__}" + (" of several sets" if splits else "")
        raise UserError(
            f"a set of records was given as {kind}.",
            "Give a file's name, a list of dicts, or one split of a dataset.",
        )
    # A dataset would log the values that it can't read.
    with quiet("datasets", below=logging.CRITICAL):
        return [
            object_row(f"row {i}", dict(value))
            if isinstance(value, Mapping)
            else Row(f"row {i}", problem="is no dict with named fields")
            for i, value in enumerate(source, 1)
        ]


def _folder_rows(folder: Path, source: str) -> list[Row]:
    """Return a row for each file of prose in a folder and those in it."""
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in PROSE_SUFFIXES)
    if not files:
        raise UserError(
            f"{source} is a folder without {' or '.join(PROSE_SUFFIXES)} files.",
            "Give a file of records, or a folder of texts.",
        )
    return [
        replace(row, place=str(file.relative_to(folder)))
        for file in files
        for row in prose_rows(_file_bytes(file, str(file)), str(file))
    ]


def read_file(path: Path, source: str) -> list[Row]:
    """Read the rows of a file.

    Args:
        path: The file.
        source: What the user called it, for messages.

    Raises:
        UserError: there is none, or it can't be read.
    """
    if not path.exists():
        raise UserError(f"{source} does not exist.", "Check the name.")
    return read_rows(_file_bytes(path, source), source)


def _file_bytes(path: Path, source: str) -> bytes:
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise UserError(f"{source} is {kind}.", "Give a file of records.")
    try:
        check_size(path.stat().st_size, source)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{source} can't be read: {error.strerror}.", "Check it.") from error


def _demo_rows(name: str) -> list[Row]:
    if name not in DEMO_SETS:
        known = ", ".join(f"demo:{known}" for known in DEMO_SETS)
        raise UserError(f"no sample is called demo:{name}.", f"Known: {known}.")
    file = resources.files("relearn.data") / "demo" / DEMO_SETS[name]
    return read_rows(file.read_bytes(), file.name)
