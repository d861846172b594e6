"""The comparison of objectives, on a tiny model."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relearn.cli import app
from relearn.comparison import compare, default_comparison
from relearn.config import RunConfig, load_config
from relearn.errors import UserError
from relearn.objectives import OBJECTIVES
from relearn.storage import read_json, write_jsonl


@pytest.fixture
def config(tmp_path: Path, tiny_model: Path) -> RunConfig:
    for name in ("forget", "retain"):
        rows = [
            {"question": f"Where does {name.title()} {i} live?", "answer": f"In Oslo, at {i}."}
            for i in range(3)
        ]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    return RunConfig.model_validate(
        {
            "model": {"name": str(tiny_model)},
            "data": {name: str(tmp_path / f"{name}.jsonl") for name in ("forget", "retain")},
            "synthesis": {"variants": 1},
            "training": {"epochs": 1, "lora": {"rank": 2}},
            "baselines": {
                "sure": {"objective": "npo", "wrapper": "sure", "lora": {"rank": 2}},
                # Nothing has a gradient that large, so this one's training fails.
                "broken": {
                    "objective": "npo",
                    "wrapper": "memflex",
                    "wrapper_options": {"min_gradient": 1e9},
                },
            },
            "evaluation": {"max_new_tokens": 4},
        }
    )


def test_rows_files_and_what_failed(config: RunConfig, tmp_path: Path) -> None:
    output = tmp_path / "out"
    # The records have no wrong answers, and the rules backend invents none.
    names = ["dpo", "sure", "altpo", "broken"]
    rows, failed = compare(config, names, output)
    assert [row["name"] for row in rows] == ["target", "dpo", "sure"]
    assert [row["objective"] for row in rows] == [None, "dpo", "npo"]
    assert rows[0]["seconds"] is None
    assert all(row["seconds"] > 0 for row in rows[1:])
    assert all(0 <= row["forget/rougeL_recall"] <= 1 for row in rows)
    assert "wrapper_options" in failed["broken"]
    assert "synthesis" in failed["altpo"]
    assert read_json(output / "compare.json") == {"rows": rows, "failed": failed}
    with (output / "compare.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["target", "dpo", "sure"]
    report = (output / "report.html").read_text()
    assert "Methods side by side" in report

    # The same command again computes nothing anew, one with more objectives these alone.
    adapter = output / "training" / "sure" / "adapter_model.safetensors"
    written = adapter.stat().st_mtime_ns
    assert compare(config, names, output) == (rows, failed)
    more, _ = compare(config, [*names, "idk"], output)
    assert more[:-1] == rows
    assert more[-1]["name"] == "idk"
    assert adapter.stat().st_mtime_ns == written
    with pytest.raises(UserError, match=r"baselines\.idk"):
        compare(config, names, output)


def test_unknown_name_lists_the_known(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="npo"):
        compare(config, ["nopo"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_shipped_comparison_has_every_objective() -> None:
    baselines = load_config(default_comparison()).baselines
    assert {training.objective for training in baselines.values()} == set(OBJECTIVES)
    # Negating what `sft` learned on the forget set is the task vector's way.
    assert baselines["task_vector"].lora.scale < 0


def test_half_of_the_user_s_data_is_not_mixed_with_the_sample(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", "--forget", "f.jsonl", "--output", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert "--retain" in str(result.exception)
