"""`relearn list` and other tables: every name can be read and copied in 80 columns."""

import io

import pytest
import rich.table
from rich.console import Console
from typer.testing import CliRunner

from relearn.cli import app
from relearn.cli.common import Table
from relearn.cli.lists import LISTS
from relearn.evaluation.harnesses import INSPECT_TASKS, LM_EVAL_TASKS


def shown(table: rich.table.Table) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", LISTS)
def test_every_name_of_a_list_is_whole(kind: str) -> None:
    listed = CliRunner().invoke(app, ["list", kind], env={"COLUMNS": "80"})
    assert listed.exit_code == 0, listed.output
    for name, *_ in LISTS[kind]()[1:]:
        assert f" {name} " in listed.output


def test_a_place_is_in_one_piece() -> None:
    lines = CliRunner().invoke(app, ["list", "tasks"], env={"COLUMNS": "80"}).output.splitlines()
    assert lines[-2:] == [f"FOLDER: {LM_EVAL_TASKS}", f"FILE: {INSPECT_TASKS}"]


@pytest.mark.parametrize("models", [1, 3, 8])
def test_figures_of_many_models_lose_no_character(models: int) -> None:
    names = ["overall/mia_min_k_plus_plus_auc", "forget/embedding_similarity"]
    tables = [kind("metric", *["unlearned"] * models) for kind in (Table, rich.table.Table)]
    for table in tables:
        for name in names:
            table.add_row(name, *["6.85e-05"] * models)
    lines = shown(tables[0])
    assert max(map(len, lines)) <= 80
    first = "".join(line.split("│")[1].strip() for line in lines if line.startswith("│"))
    assert first == "".join(names)
    assert not any("…" in line for line in lines)
    # rich's own table cuts where there are many.
    assert any("…" in line for line in shown(tables[1])) == (models == 8)
