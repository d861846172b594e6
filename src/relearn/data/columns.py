"""Columns: rows with any names to validated records."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from relearn.config import ColumnsConfig
from relearn.data.formats import CHAT_COLUMNS, Row
from relearn.data.records import Record
from relearn.errors import UserError

# What the field's data sets call a record's fields (KnowUnDo, TOFU, Alpaca, …).
USUAL_NAMES = {
    "id": ("id", "uid", "idx", "index", "record_id"),
    "question": ("question", "query", "prompt", "instruction", "text", "input"),
    "answer": ("answer", "labels", "label", "response", "output", "completion", "target"),
    "subject": ("subject", "author", "entity", "name"),
    "paraphrases": ("paraphrases", "paraphrased_question", "paraphrased_questions"),
    "paraphrased_answer": ("paraphrased_answer",),
    "wrong_answers": ("wrong_answers", "perturbed_answer", "perturbed_answers"),
}
_REQUIRED = ("question", "answer")


def records_from_rows(
    rows: Sequence[Row], columns: ColumnsConfig, set_name: str, source: str
) -> list[Record]:
    """Validate every row as a record.

    A row without an id gets `{set_name}-{number}`, its number in five digits counted from one.
    A record that stands twice is kept and weighs double.

    Args:
        rows: As read from the source.
        columns: The user's names; those not given are found by their usual names.
        set_name: "forget", "retain", …
        source: What the user called the source, for messages.

    Raises:
        UserError: there is no row, a column is missing or ambiguous, or a row is bad; the message
            names the first bad row and says how many more there are.
    """
    if not rows:
        raise UserError(f"{source} holds no records.", "Give at least one record.")
    rows = [_without_chat(row) for row in rows]
    mapping = _mapping(rows, columns, source)
    records: list[Record] = []
    problems: list[str] = []
    places: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        try:
            record = _record(row, mapping, f"{set_name}-{number:05d}")
            if record.id in places:
                raise ValueError(f"has the id {record.id!r}, as {places[record.id]} has")
        except ValueError as error:
            problems.append(f"{row.place} {error}")
            continue
        places[record.id] = row.place
        records.append(record)
    if problems:
        more = f" ({len(problems) - 1} more bad records)" if len(problems) > 1 else ""
        raise UserError(f"{source} {problems[0]}{more}.", "Mend the record or take it out.")
    return records


def _mapping(rows: Sequence[Row], columns: ColumnsConfig, source: str) -> dict[str, str]:
    """Return the column of each field that has one; none at all where no row can be read."""
    names = list(dict.fromkeys(name for row in rows for name in row.fields))
    if not names:
        return {}
    found = {field: _column(field, names, columns, source) for field in USUAL_NAMES}
    return {field: column for field, column in found.items() if column is not None}


def _column(field: str, names: list[str], columns: ColumnsConfig, source: str) -> str | None:
    listed = f"Columns: {', '.join(names)}."
    given = getattr(columns, field)
    if given is not None:
        if given not in names:
            raise UserError(f"{source} has no column {given!r} (data.columns.{field}).", listed)
        return str(given)
    usual = {name: "_".join(name.casefold().replace("-", " ").split()) for name in names}
    fits = [name for name in names if usual[name] in USUAL_NAMES[field]]
    fits = [name for name in fits if usual[name] == field] or fits
    if len(fits) == 1:
        return fits[0]
    if not fits and field not in _REQUIRED:
        return None
    wrong = f"several columns for the {field}: {', '.join(fits)}" if fits else f"no {field} column"
    raise UserError(f"{source} has {wrong}.", f"{listed} Choose: --set data.columns.{field}=NAME.")


def _without_chat(row: Row) -> Row:
    """Turn a conversation of one question and one answer into two columns."""
    for column in CHAT_COLUMNS:
        if isinstance(turns := row.fields.get(column), list):
            rest = {name: value for name, value in row.fields.items() if name != column}
            try:
                question, answer = _question_and_answer(turns)
            except (ValueError, AttributeError):
                return Row(row.place, rest, f"field {column!r} is not one question and its answer")
            return Row(row.place, {"question": question, "answer": answer} | rest)
    return row


def _question_and_answer(turns: list[Any]) -> tuple[Any, Any]:
    """Unpack two turns, in OpenAI's form (role, content) or ShareGPT's (from, value)."""
    (asks, question), (answers, answer) = (
        (turn.get("role", turn.get("from")), turn.get("content", turn.get("value")))
        for turn in turns
    )
    if asks not in ("user", "human") or answers not in ("assistant", "gpt"):
        raise ValueError("other roles")
    return question, answer


def _record(row: Row, mapping: dict[str, str], default_id: str) -> Record:
    """Build the record; a `ValueError` says what is wrong with the row."""
    if row.problem or not row.fields:
        raise ValueError(row.problem or "has no fields")
    values = {field: row.fields.get(column) for field, column in mapping.items()}
    try:
        return Record(
            id=_id(values.get("id")) or default_id,
            question=values["question"],
            answer=values["answer"],
            subject=_text(values.get("subject")),
            paraphrases=_texts(values.get("paraphrases")),
            paraphrased_answer=_text(values.get("paraphrased_answer")),
            wrong_answers=_texts(values.get("wrong_answers")),
        )
    except ValidationError as error:
        first = error.errors()[0]
        field, *index = first["loc"]
        name = "".join([mapping[str(field)], *(f"[{i}]" for i in index)])
        raise ValueError(f"field {name!r} {_reason(first)}") from None


def _reason(error: Any) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] in ("string_type", "tuple_type"):
        value = error["input"]
        return "is missing" if value is None else f"is {type(value).__name__}, not text"
    return str(error["msg"]).lower()


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _text(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _texts(value: Any) -> Any:
    """Return a cell as a list: a single text is a list of one; a table's cell may hold JSON."""
    if (value := _text(value)) is None:
        return ()
    if not isinstance(value, str):
        return value
    if not (value.strip().startswith("[") and value.strip().endswith("]")):
        return (value,)
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("has a list that is not JSON") from None
