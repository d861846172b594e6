"""Experiments: the same run with several seeds, and what is made of its figures."""

from pathlib import Path

import pytest
from scipy.stats import t

from helpers.command import Command
from relearn.base.storage import read_json, write_text
from relearn.config import load_config, recipes
from relearn.data.sources import load_sets
from relearn.experiment import over_seeds, table, write_into

RECIPE = """
model: {name: MODEL, dtype: float32}
data: {forget: "demo:knowundo_forget", retain: "demo:knowundo_retain", only: [Li Wei]}
synthesis: {variants: 0, completion_share: 0, generic_ratio: 0}
memorize: {seed: 3, epochs: 1, learning_rate: 1.0e-3, lora: {rank: 4}}
training: &training
  {epochs: 1, learning_rate: 1.0e-2, batch_size: 4, gradient_accumulation: 1, lora: {rank: 4}}
baselines: {ga: {<<: *training, objective: ga}}
evaluation: {max_new_tokens: 4}
audit: {attacks: [prefix], baselines: true}
"""


def test_the_interval_is_students() -> None:
    values = [0.5, 0.75, 0.7, 0.4]
    found = over_seeds(values)
    error = 0.16520 / 2  # their standard deviation over the root of their number
    assert found["mean"] == pytest.approx(0.5875)
    low, high = t.interval(0.95, 3, loc=0.5875, scale=error)
    assert found["interval"] == pytest.approx([low, high], abs=1e-4)
    assert over_seeds([0.5]) == {"mean": 0.5, "interval": None, "values": [0.5]}


def results(name: str, value: float) -> dict[str, object]:
    figures = {"KFR": over_seeds([value, value + 0.2]), "seconds": over_seeds([50.0, 51.0])}
    hardware = {"cpus": 2, "memory_bytes": 1, "accelerator": None}
    models = {"target": {"KFR": over_seeds([0.0, 0.0])}, "relearn": figures}
    return {"experiment": name, "seeds": [0, 1], "hardware": hardware, "models": models}


def test_a_page_keeps_one_table_for_each_experiment(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text("# Results\n\nWords before.\n")
    for name, value in (("one", 0.1), ("two", 0.3), ("one", 0.5)):
        write_into(page, results(name, value))
    text = page.read_text()
    assert text.startswith("# Results\n\nWords before.\n\n## one\n")
    assert table(results("one", 0.5)) in text
    assert table(results("two", 0.3)) in text
    assert "0.10" not in text
    assert "| relearn | 0.60 ± 1.27 | 50 ± 6 |" in text
    assert "| target | 0.00 ± 0.00 |  |" in text


def test_an_experiment_with_one_seed_and_then_another(tiny_model: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "small.yaml", RECIPE.replace("MODEL", str(tiny_model)))
    (tmp_path / "docs").mkdir()
    output = tmp_path / "out"
    start = ["reproduce", str(tmp_path / "small.yaml"), "--output", str(output)]
    for more in (["--seed", "0"], ["--seed", "0", "--seed", "1"]):
        command = Command([*start, *more, "--docs", str(tmp_path / "docs")]).finish()
        assert command.returncode == 0, command.stderr
    found = read_json(tmp_path / "docs" / "results" / "small.json")
    assert found == read_json(output / "results.json")
    assert found["seeds"] == [0, 1]
    assert set(found["models"]) == {"target", "relearn_deep", "ga", "base", "never_saw"}
    of_relearn = found["models"]["relearn_deep"]
    assert {"ROUGE-L forget", "ROUGE-L retain", "private word", "seconds"} <= set(of_relearn)
    assert len(set(of_relearn["private word"]["values"])) == 2  # two seeds, two models
    # One target for all of them.
    assert len(set(found["models"]["target"]["private word"]["values"])) == 1
    assert "| relearn_deep |" in (tmp_path / "docs" / "results.md").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seed", "1", "--seed", "1"], "a seed is given twice"),
        (["--docs", "nowhere"], "nowhere is no folder"),
    ],
)
def test_mistakes_end_with_two_and_write_nothing(
    more: list[str], message: str, tmp_path: Path
) -> None:
    command = Command(["reproduce", "demo", "--output", str(tmp_path / "out"), *more]).finish()
    assert command.returncode == 2
    assert message in command.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "counts"),
    [("knowundo-small", [91, 92, 24, 24]), ("tofu-small", [56, 56, 24, 24])],
)
def test_the_small_experiments_have_the_sets_they_say(name: str, counts: list[int]) -> None:
    config = load_config(recipes()[name])
    names = ("forget", "retain", "forget_unseen", "retain_unseen")
    sets, _ = load_sets({n: getattr(config.data, n) for n in names}, config.data, config.model)
    assert [len(sets[name]) for name in names] == counts
