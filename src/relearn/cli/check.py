"""`relearn check`: what is in the sets, before anything is done with them."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.text import Text

from relearn.base.errors import listed
from relearn.base.visible import visible
from relearn.cli.common import Config, ModelName, Overrides, Table, console, settings_of

if TYPE_CHECKING:
    from relearn.data.records import Record
    from relearn.survey import Lengths, SetSurvey, Survey

_SHOWN = 3  # records, or pairs of them, for each finding
_TEXT = 160  # characters of each text


def check(
    forget: Annotated[str | None, typer.Argument(metavar="FORGET", help="What to forget.")] = None,
    retain: Annotated[str | None, typer.Argument(metavar="RETAIN", help="What to keep.")] = None,
    model: ModelName = None,
    config: Config = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    text: Annotated[
        bool, typer.Option("--text", help="Show the text of the records that are named.")
    ] = False,
) -> None:
    """Look at your sets: columns, lengths, languages, contradictions, overlaps, what can't work.

    Further sets are settings, such as --set data.retain_unseen=FILE. The exit code is 2 if a run
    would refuse the sets.
    """
    named = {"data.forget": forget, "data.retain": retain, "model.name": model}
    settings = settings_of(config, named, overrides)
    from relearn.survey import survey

    found, sets = survey(settings)
    if as_json:
        print(json.dumps(_as_json(found, sets, text), ensure_ascii=False, indent=2))
    else:
        _print(found, sets, text)
    if found.problems:
        raise typer.Exit(2)


def _as_json(found: "Survey", sets: "dict[str, list[Record]]", text: bool) -> dict[str, Any]:
    """Return all that was found; without `text`, no record's words."""
    content = asdict(found)
    if not text:
        del content["reasons"]
        return content
    texts = {
        name: {r.id: {"question": r.question, "answer": r.answer} for r in records}
        for name, records in sets.items()
    }
    return content | {"texts": texts}


def _print(found: "Survey", sets: "dict[str, list[Record]]", text: bool) -> None:
    table = Table("", *found.sets)
    for label, cells in _rows(found):
        table.add_row(label, *map(Text, cells))
    console.print(table)
    shown = sets if text else {}
    records = {(name, record.id): record for name, each in shown.items() for record in each}
    for finding in _findings(found):
        ids = [" and ".join(id_ for _, id_ in named) for named in finding.records]
        line = f"{finding.label}: {listed(ids, _SHOWN)}"
        console.print(Text(line), soft_wrap=True, highlight=False)
        if text:
            _print_texts([records[each] for named in finding.records for each in named], found)
    for line in found.notes:
        console.print(Text(f"note: {line}."), soft_wrap=True, highlight=False)
    for line in found.problems:
        console.print(Text(f"a run would stop: {line}"), style="red", soft_wrap=True)
    if not found.problems:
        console.print("A run would take these sets.", style="green")


def _print_texts(records: "Iterable[Record]", found: "Survey") -> None:
    for record in islice(records, 2 * _SHOWN):
        texts = [record.question, record.answer, found.reasons.get(record.id, "")]
        shown = (shorten(visible(text), _TEXT, placeholder=" …") for text in texts if text)
        console.print(Text(f"  {record.id}: {' | '.join(shown)}"), soft_wrap=True, highlight=False)


def _rows(found: "Survey") -> Iterator[tuple[str, list[str]]]:
    """Yield each row of the table: a label, and a cell for each set."""
    sets = list(found.sets.values())
    for label, show in _OF_A_SET.items():
        cells = [str(show(each)) for each in sets]
        if any(cells):
            yield label.format(unit=found.unit), cells
    for first in found.sets:
        overlaps = {each.second: each for each in found.overlaps if each.first == first}
        for label, field in _OF_TWO_SETS.items():
            pairs = {name: getattr(each, field) for name, each in overlaps.items()}
            if any(pairs.values()) or (first, field) == ("forget", "same_question"):
                cells = [str(len(pairs[name])) if name in pairs else "" for name in found.sets]
                yield f"{label} {first}", cells
    if (unanswered := found.unanswered_by_rules) is not None:
        yield "no answer by rules", [str(len(unanswered)), *[""] * (len(sets) - 1)]


def _columns(found: "SetSurvey") -> str:
    names = {field: column for field, column in found.columns.items() if field not in _MAIN}
    return ", ".join(f if f == column else f"{f}: {column}" for f, column in names.items())


def _main_column(found: "SetSurvey", field: str) -> str:
    # A passage is cut out of a text; a set without columns is made of another one's paraphrases.
    made = found.columns.get("text", "paraphrases" if field == "question" else "")
    return found.columns.get(field, made)


def _length(lengths: "Lengths") -> str:
    return f"{lengths.median:.0f}, at most {lengths.longest}"


def _languages(found: "SetSurvey") -> str:
    if len(found.languages) == 1:
        return next(iter(found.languages))
    return ", ".join(f"{name} {count}" for name, count in found.languages.items())


_MAIN = ("question", "answer", "text")
_OF_A_SET: dict[str, "Callable[[SetSurvey], object]"] = {
    "records": lambda found: found.records,
    "question from": lambda found: _main_column(found, "question"),
    "answer from": lambda found: _main_column(found, "answer"),
    "also read": _columns,
    "not read": lambda found: found.unread,
    "question, {unit}": lambda found: _length(found.questions),
    "answer, {unit}": lambda found: _length(found.answers),
    "language": _languages,
    "too long to train": lambda found: len(found.too_long) or "",
    "repeated": lambda found: len(found.repeated),
    "contradictory": lambda found: len(found.contradictory),
    "nearly repeated": lambda found: len(found.nearly_repeated),
}
_OF_TWO_SETS = {
    "same question as": "same_question",
    "nearly the same as": "nearly_same",
    "same long answer as": "same_answer",
    "tells a fact of": "same_fact",
}


class _Finding(NamedTuple):
    """Records that somebody should look at.

    Attributes:
        label: What is the matter with them.
        records: Sets and ids: one, or two that belong together.
    """

    label: str
    records: list[list[tuple[str, str]]]


def _findings(found: "Survey") -> Iterator[_Finding]:
    for name, of_set in found.sets.items():
        for label, pairs in (
            ("repeated", of_set.repeated),
            ("contradictory", of_set.contradictory),
            ("nearly repeated", of_set.nearly_repeated),
        ):
            if pairs:
                yield _Finding(f"{name}, {label}", [[(name, p[0]), (name, p[1])] for p in pairs])
        if of_set.too_long:
            yield _Finding(f"{name}, too long to train", [[(name, id_)] for id_ in of_set.too_long])
    for overlap in found.overlaps:
        first, second = overlap.first, overlap.second
        for label, field in _OF_TWO_SETS.items():
            if pairs := getattr(overlap, field):
                named = [[(first, pair[0]), (second, pair[1])] for pair in pairs]
                yield _Finding(f"{second}, {label} {first}", named)
    if found.unanswered_by_rules:
        named = [[("forget", id_)] for id_ in found.unanswered_by_rules]
        yield _Finding("forget, no answer by rules", named)
