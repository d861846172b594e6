"""Columns: rows with any names to validated records."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from relearn.base.errors import UserError
from relearn.config import ColumnsConfig
from relearn.data.cells import (
    MOST_CHARACTERS,
    as_answer,
    as_choices,
    as_flag,
    as_text,
    as_texts,
)
from relearn.data.column_names import (
    CLASSES,
    CONTEXTS,
    GUESSED,
    NAMES,
    REQUIRED,
    USUAL_NAMES,
    usual,
)
from relearn.data.conversations import without_messages
from relearn.data.passages import Cut, passages_of, text_column
from relearn.data.records import Record
from relearn.data.rows import CHAT_COLUMNS, Row, shown
from relearn.text.words import folded_line

_MOST_CHOICES = 26  # each has a letter


@dataclass(frozen=True)
class RecordSet:
    """The records of one source, and what a reader of it should know.

    Attributes:
        records: At least one.
        systems: Each system message that the rows bring, None where one brings none, with the
            place of the first such row.
        notes: One line each, without text of a record: columns that were guessed, what is not read.
        columns: By field, the name of the column that it was read from.
        unread: Columns that no field was read from.
    """

    records: list[Record]
    systems: dict[str | None, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def columns_of(rows: Sequence[Row]) -> set[str]:
    """Return the names of all columns."""
    return {name for row in rows for name in row.fields}


def has_column(names: Collection[str], column: str) -> bool:
    """Return whether there is a column, or one that may hold objects with such a field."""
    return column in names or column.split(".")[0] in names


def records_from_rows(
    rows: Sequence[Row],
    columns: ColumnsConfig,
    set_name: str,
    source: str,
    *,
    split_turns: bool = False,
    cut: Cut | None = None,
) -> RecordSet:
    """Validate every row as a record.

    A row without an id gets `{set_name}-{number}`, its number in five digits counted from one.
    A record that stands twice is kept and weighs double.

    Args:
        rows: As read from the source.
        columns: The user's names; those not given are found by their usual names.
        set_name: "forget", "retain", …
        source: What the user called the source, for messages.
        split_turns: Make each question of a longer conversation a row of its own.
        cut: How plain text is cut into passages; None refuses it.

    Raises:
        UserError: there is no row, a column is missing or ambiguous, or a row is bad; the message
            names the first bad row and says how many more there are.
    """
    if not rows:
        raise UserError(f"{source} contains no records.", "Give at least one record.")
    written = list(dict.fromkeys(name for row in rows for name in row.fields))
    if (column := text_column(rows, columns)) is not None:
        parts = passages_of(rows, column, columns.id, source, cut)
        records, systems = _Table(parts, ColumnsConfig(), source).records(set_name)
        note = f"plain text ({len(rows)}), cut into {len(records)} passages"
        unread = [n for n in written if n not in (column, columns.id) and usual(n) != "id"]
        return RecordSet(records, systems, [note], {"text": column}, unread)
    if columns.question is None and columns.opening is None:
        rows = [each for row in rows for each in without_messages(row, split_turns)]
    table = _Table(rows, columns, source)
    table.check_meaning()
    records, systems = table.records(set_name)
    records = table.with_sure_subjects(records)
    return RecordSet(records, systems, table.notes, *table.columns_among(written))


class _Table:
    """The rows of one source, and which of their columns is which field."""

    def __init__(self, rows: Sequence[Row], columns: ColumnsConfig, source: str) -> None:
        self.rows = rows
        self.source = source
        self.given = columns
        self.notes: list[str] = []
        readable = [row for row in rows if not row.problem]
        self.names = list(dict.fromkeys(name for row in readable for name in row.fields))
        # None at all where no row can be read: the first row's problem is the one to tell.
        found = {name: self._column(name) for name in NAMES} if self.names else {}
        self.mapping = {name: column for name, column in found.items() if column is not None}
        self.usual = {name: usual(column) for name, column in self.mapping.items()}
        self.input = self._alpaca_input()
        self._tell_guesses()

    def _column(self, name: str) -> str | None:
        setting = "opening" if name == "question" and self.given.opening is not None else name
        given = getattr(self.given, setting, None)
        if given is not None:
            if not has_column(self.names, given):
                problem = f"{self.source} has no column {given!r} (data.columns.{setting})."
                raise UserError(problem, self._listed())
            return str(given)
        for group in ((name,), *NAMES[name]):
            fits = [column for column in self.names if usual(column) in group]
            if len(fits) == 1:
                return fits[0]
            if fits:
                raise UserError(
                    f"{self.source} has several columns for the {name}: {', '.join(fits)}.",
                    f"Choose: --set data.columns.{name}=NAME.",
                )
        if name not in REQUIRED:
            return None
        raise UserError(
            f"{self.source} has no {name} column.",
            f"{self._listed()} Choose: --set data.columns.{name}=NAME.",
        )

    def _listed(self) -> str:
        """Name the columns, unless they may be the first record of a table without a header."""
        given = {column for _, column in self.given if column is not None}
        known = any(usual(name) in USUAL_NAMES or name in given for name in self.names)
        if known or any(row.own_names for row in self.rows):
            return f"Columns: {shown(self.names)}."
        return (
            "None of its columns has a name that is known. If the first line is a record, put a "
            "header above it, such as question,answer."
        )

    def _alpaca_input(self) -> str | None:
        """Return the column whose text belongs to Alpaca's question, behind the instruction."""
        if self.usual.get("question") != "instruction":
            return None
        inputs = [name for name in self.names if usual(name) == "input"]
        return next((name for name in inputs if name not in self.mapping.values()), None)

    def _tell_guesses(self) -> None:
        guessed = {
            name: column
            for name, column in self.mapping.items()
            if getattr(self.given, name, None) is None
            and self.usual[name] in GUESSED
            and not (name == "question" and self.given.opening)
            and name != "subject"  # told when it is known whom the questions name
        }
        if guessed:
            read = " and ".join(f"{column!r} as the {name}" for name, column in guessed.items())
            self.notes.append(f"{read} (choose others with --set data.columns.FIELD=NAME)")
        if self.given.question and self.input:
            self.notes.append(f"the question is {self.given.question!r} followed by {self.input!r}")
        for name in self.names:
            unread = usual(name) in CONTEXTS and name not in self.mapping.values()
            if unread and any(row.fields.get(name) for row in self.rows):
                self.notes.append(f"column {name!r} is not read: questions are asked without it")

    def columns_among(self, written: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """Return the column of each field, and those that are not read.

        Args:
            written: The names in the source itself, where a conversation is one column.
        """
        chat = next((name for name in written if name in CHAT_COLUMNS), "")
        columns = {
            name: column if has_column(written, column) else chat
            for name, column in self.mapping.items()
        }
        if self.input:
            columns["question"] += f" + {self.input}"
        read = {column.split(".")[0] for column in self.mapping.values()} | {chat, self.input}
        return columns, [name for name in written if name not in read]

    def check_meaning(self) -> None:
        """Refuse columns that have the usual names and mean something else."""
        if not self.mapping or self.given.answer is not None:
            return
        answers = [row.fields.get(self.mapping["answer"]) for row in self.rows]
        choose = f"If these are the answers: --set data.columns.answer={self.mapping['answer']}."
        if self.usual["answer"] == "a" and "b" in map(usual, self.names):
            raise UserError(
                f"{self.source} is multiple choice: its columns a, b, … are choices.",
                "Write the text of the right choice in a column answer.",
            )
        if self.usual["answer"] in CLASSES and self._are_classes(answers):
            raise UserError(
                f"{self.source} looks like a classification set: column "
                f"{self.mapping['answer']!r} contains classes, not answers.", choose,
            )  # fmt: skip

    def _are_classes(self, answers: Sequence[Any]) -> bool:
        """Return whether the answers are few small numbers or words, and the texts no questions."""
        texts = [str(answer).strip() for answer in answers]
        repeated = len(texts) > len(set(texts))
        questions = [str(row.fields.get(self.mapping["question"])) for row in self.rows]
        asking = sum(any(mark in text for mark in "?\uff1f\u061f") for text in questions)
        asked = 2 * asking >= len(questions)
        if all(text.removeprefix("-").isdigit() and len(text) < 4 for text in texts) or all(
            isinstance(answer, bool) for answer in answers
        ):
            return repeated or not asked
        few = len(texts) >= 4 and 2 * len(set(texts)) <= len(texts)
        return few and not asked and all(len(text.split()) == 1 for text in texts)

    def records(self, set_name: str) -> tuple[list[Record], dict[str | None, str]]:
        """Validate the rows; return records and system messages, see `RecordSet`."""
        records: list[Record] = []
        systems: dict[str | None, str] = {}
        problems: list[str] = []
        places: dict[str, str] = {}
        several = 0
        own_ids = self._has_unique_ids()
        for number, row in enumerate(self.rows, 1):
            try:
                record, system, further = self._record(row, f"{set_name}-{number:05d}", own_ids)
                if record.id in places:
                    raise ValueError(f"has the id {record.id!r}, as {places[record.id]} has")
            except ValueError as error:
                problems.append(f"{row.place} {error}")
                continue
            places[record.id] = row.place
            systems.setdefault(system, row.place)
            several += bool(further)
            records.append(record)
        if problems:
            more = f" ({len(problems) - 1} more bad records)" if len(problems) > 1 else ""
            raise UserError(
                f"{self.source} {problems[0]}{more}.", "Correct the record or remove it."
            )
        if several:
            self.notes.append(
                f"{_counted(several)} several different answers, of which the first is used"
            )
        return records, systems

    def _has_unique_ids(self) -> bool:
        """Return whether the ids are taken; a guessed column's only if no two are equal."""
        column = self.mapping.get("id")
        if column is None or self.given.id is not None or self.usual["id"] == "id":
            return True
        values = Counter(str(row.fields.get(column)) for row in self.rows)
        if len(values) == len(self.rows):
            return True
        self.notes.append(f"column {column!r} repeats values and is not taken as the id")
        return False

    def _record(self, row: Row, default_id: str, own_id: bool) -> tuple[Record, str | None, int]:
        """Build the record; a `ValueError` says what is wrong with the row."""
        if row.problem or not row.fields:
            raise ValueError(row.problem or "has no fields")
        if row.fields.get("history"):
            raise ValueError("field 'history' holds earlier turns, which are not read")
        id_ = self._read("id", row, as_text) if own_id else None
        answer, further = self._read("answer", row, as_answer)
        choices = self._read("choices", row, as_choices) or ()
        if answer is not None and choices and self.answers_are_numbers:
            answer = self._choice(answer, choices)
        fields = {
            "id": id_ or default_id,
            "question": self._question(row),
            "answer": answer,
            "subject": self._read("subject", row, as_text),
            "paraphrases": self._read("paraphrases", row, as_texts) or (),
            "paraphrased_answer": self._read("paraphrased_answer", row, as_text),
            "wrong_answers": self._read("wrong_answers", row, as_texts) or (),
            "choices": choices if answer in choices and len(choices) <= _MOST_CHOICES else (),
            "continues": self.given.opening is not None
            or self._read("continues", row, as_flag)
            or False,
        }
        for name in REQUIRED:
            if fields[name] is None:
                blank = isinstance(_cell(row.fields, self.mapping[name]), str)
                raise ValueError(
                    f"field {self.mapping[name]!r} is {'empty' if blank else 'missing'}"
                )
        return self._validated(fields), self._read("system", row, as_text), further

    @cached_property
    def answers_are_numbers(self) -> bool:
        """Whether the answers are numbers or letters of choices, not the choices' text."""
        if "choices" not in self.mapping:
            return False
        column = self.mapping["choices"]
        # Without a choice, a number is just that.
        rows = [row.fields for row in self.rows if not row.problem and _cell(row.fields, column)]
        answers = [_cell(fields, self.mapping["answer"]) for fields in rows]
        if not answers or not all(map(_is_choice, answers)):
            return False
        if any(isinstance(answer, int) for answer in answers):
            return True
        choices = [_cell(fields, column) for fields in rows]
        return not all(map(_is_among, answers, choices))

    def _choice(self, answer: str, choices: tuple[str, ...]) -> str:
        """Return the choice that a number, counted from 0, or a letter stands for."""
        number = int(answer) if answer.isdecimal() else ord(answer.upper()) - ord("A")
        if number not in range(len(choices)):
            raise ValueError(
                f"field {self.mapping['answer']!r} is the number or letter of no choice (numbers "
                "begin at 0)"
            )
        return choices[number]

    def _question(self, row: Row) -> str | None:
        question = self._read("question", row, as_text)
        if self.input is None:
            return question
        try:
            given = as_text(row.fields.get(self.input))
        except ValueError as error:
            raise ValueError(f"field {self.input!r} {error}") from None
        parts = [part for part in (question, None if given == "<noinput>" else given) if part]
        return "\n".join(parts) or None

    def _read(self, name: str, row: Row, read: Callable[[Any], Any]) -> Any:
        """Return the value of a field; what is wrong with it is told with its column."""
        column = self.mapping.get(name)
        if column is None:
            return (None, 0) if read is as_answer else None
        try:
            return read(_cell(row.fields, column))
        except RecursionError:
            raise ValueError(f"field {column!r} is nested too deep") from None
        except ValueError as error:
            # An element of a list brings its number: field 'wrong_answers'[1].
            gap = "" if str(error)[0] in " [" else " "
            raise ValueError(f"field {column!r}{gap}{error}") from None

    def _validated(self, fields: dict[str, Any]) -> Record:
        for name, value in fields.items():
            for text in value if isinstance(value, tuple) else (str(value or ""),):
                if len(text) > MOST_CHARACTERS:
                    raise ValueError(
                        f"field {self.mapping[name]!r} has {len(text):,} characters, more than "
                        f"{MOST_CHARACTERS:,}"
                    )
        try:
            return Record(**fields)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            loc, *index = first["loc"]
            column = "".join([repr(self.mapping[str(loc)]), *(f"[{i}]" for i in index)])
            reason = first["ctx"]["error"] if first["type"] == "value_error" else "is not text"
            raise ValueError(f"field {column} {reason}") from None

    def with_sure_subjects(self, records: list[Record]) -> list[Record]:
        """Leave out subjects of a guessed column that their question does not name."""
        column = self.mapping.get("subject")
        if column is None:
            return records
        elsewhere = [r.id for r in records if r.subject and not _names_subject(r)]
        if self.given.subject is not None or self.usual["subject"] == "subject":
            if elsewhere:
                self.notes.append(
                    f"{_counted(len(elsewhere))} a subject (column {column!r}) that the question "
                    "does not name; new answers will name it"
                )
            return records
        if len(elsewhere) == len([r for r in records if r.subject]):
            self.notes.append(f"{column!r} is not taken as the subject: no question names it")
        else:
            except_for = f", except in {len(elsewhere)} that do not name it" if elsewhere else ""
            self.notes.append(f"{column!r} as the subject of the questions{except_for}")
        dropped = set(elsewhere)
        return [r.model_copy(update={"subject": None}) if r.id in dropped else r for r in records]


def _cell(fields: Mapping[str, Any], column: str) -> Any:
    """Return a cell; `answers.text` is field `text` of the object in column `answers`."""
    if column in fields or "." not in column:
        return fields.get(column)
    value: Any = fields
    for part in column.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _names_subject(record: Record) -> bool:
    return folded_line(record.subject or "") in folded_line(record.question)


def _is_choice(answer: Any) -> bool:
    text = str(answer).strip()
    return not isinstance(answer, bool) and (text.isdigit() or (len(text) == 1 and text.isalpha()))


def _is_among(answer: Any, choices: Any) -> bool:
    try:
        return str(answer).strip() in as_choices(choices)
    except ValueError:
        return False


def _counted(count: int) -> str:
    return "1 record has" if count == 1 else f"{count} records have"
