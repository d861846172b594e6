import io
import shutil

import pytest
from rich.console import Console

from helpers.sample_run import write_sample_run
from relearn.base.storage import read_json, write_json
from relearn.cli.outcome import print_outcome


@pytest.fixture
def printed(tmp_path):
    """Return a function that prints the outcome of the sample run as a terminal shows it."""

    def show(prepare=lambda folder: None):
        folder = write_sample_run(tmp_path / "run")
        prepare(folder)
        console = Console(file=io.StringIO(), width=80)
        print_outcome(folder, console)
        return console.file.getvalue()

    return show


def test_a_run_ends_with_its_verdict_and_a_table_that_fits_a_terminal(printed):
    lines = printed().splitlines()
    assert lines[0].startswith("The model has forgotten what it was asked to forget")
    assert all(len(line) <= 80 and "\u2026" not in line for line in lines)
    table = lines[next(i for i, line in enumerate(lines) if "target" in line) :]
    assert len(table) == 10
    assert table[0].split() == ["target", "unlearned", "ga", "grad_diff", "npo"]
    assert table[1].split()[-5:] == ["0.040", "0.917", "1.000", "0.958", "0.875"]
    # One fact of twelve; the baselines were not attacked.
    assert table[-1].split() == ["audit,", "worst:", "prefix", "100%", "8%"]


def test_what_was_not_done_takes_no_line(printed):
    assert "audit" not in printed(lambda folder: shutil.rmtree(folder / "audit")).splitlines()[-1]


def test_a_row_names_its_set_where_none_above_does(printed):
    def by_a_benchmark(folder):
        for path in folder.glob("evaluation/*/metrics.json"):
            metrics = read_json(path)
            kept = {key: value for key, value in metrics.items() if "rougeL" in key}
            write_json(path, kept | {"overall/forget_quality": 3.2e-19})

    text = printed(by_a_benchmark)
    assert "forget: said again (ROUGE-L)" in text
    assert "retain: said again (ROUGE-L)" in text
    assert "3.20e-19" in text
    assert "forget: said again (ROUGE-L)" not in printed()


def test_many_models_show_the_two_that_matter(printed):
    def prepare(folder):
        for i in range(4):
            shutil.copytree(folder / "evaluation" / "npo", folder / "evaluation" / f"npo{i}")
            path = folder / "evaluation" / f"npo{i}" / "metrics.json"
            write_json(path, read_json(path))

    text = printed(prepare)
    assert "7 more models are in the report" in text
    assert "grad_diff" not in text
