"""Rows that are given as objects are read as those of a file are."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, IterableDataset

from relearn.base.errors import UserError
from relearn.config import ColumnsConfig, DataConfig, ModelConfig
from relearn.data.sources import load_records, load_sets

PAIRS = [("Who is Ada?", "A friend of mine."), ("Who is Bo?", "Nobody knows.")]


def turns(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


SHAPES: dict[str, list[dict[str, Any]]] = {
    "question": [{"question": q, "answer": a} for q, a in PAIRS],
    "trl": [{"prompt": q, "completion": a} for q, a in PAIRS],
    "trl chat": [{"prompt": turns(q, a)[:1], "completion": turns(q, a)[1:]} for q, a in PAIRS],
    "messages": [{"messages": turns(q, a)} for q, a in PAIRS],
    "alpaca": [{"instruction": q, "input": "", "output": a} for q, a in PAIRS],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_container_gives_the_records_that_a_file_gives(shape: str, tmp_path: Path) -> None:
    rows = SHAPES[shape]
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows))
    records = load_records(str(file))
    assert [(r.question, r.answer) for r in records] == PAIRS
    containers = {
        "path": file,
        "list": rows,
        "tuple": tuple(rows),
        "generator": (row for row in rows),
        "Dataset": Dataset.from_list(rows),
        "IterableDataset": IterableDataset.from_generator(lambda: iter(rows)),
    }
    for name, container in containers.items():
        assert load_records(container) == records, name


def test_a_bad_row_is_named_by_its_set_and_number_and_not_quoted() -> None:
    rows = [{"question": "Who is Ada?", "answer": "A secret."}, {"question": "Who?", "answer": ""}]
    with pytest.raises(UserError, match="the forget set row 2 field 'answer' is empty") as caught:
        load_records(rows)
    assert "secret" not in str(caught.value)
    with pytest.raises(UserError, match="the retain set row 1 is no dict with named fields"):
        load_records(["Who is Ada?"], set_name="retain")  # type: ignore[list-item]
    with pytest.raises(UserError, match="the forget set contains no records"):
        load_records([])


@pytest.mark.parametrize("given", [DatasetDict({"train": Dataset.from_list(SHAPES["trl"])}), 7])
def test_what_is_no_set_of_rows_is_refused(given: Any) -> None:
    with pytest.raises(UserError, match=r"a set of records was given as a (DatasetDict|int)"):
        load_records(given)


def test_columns_are_named_and_a_system_message_is_the_models() -> None:
    rows = [{"q": q, "a": a, "system": "Be brief."} for q, a in PAIRS]
    columns = ColumnsConfig(question="q", answer="a")
    sets, model = load_sets({"forget": rows}, DataConfig(columns=columns), ModelConfig())
    assert [(r.question, r.answer) for r in sets["forget"]] == PAIRS
    assert model.system == "Be brief."
