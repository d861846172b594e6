"""The comparison of objectives, on a tiny model."""

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from relearn.base.errors import UserError
from relearn.base.storage import read_json, write_jsonl
from relearn.cli import app
from relearn.comparison import compare
from relearn.config import RUN_SETS, RunConfig, TrainingConfig, load_config
from relearn.data.records import Record
from relearn.objectives import OBJECTIVES
from relearn.run_folder import RunFolder
from relearn.stages import Stages

NAMES = ["dpo", "sure", "all_weights", "altpo", "broken"]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> RunConfig:
    tmp_path = tmp_path_factory.mktemp("comparison")
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
            "synthesis": {
                "variants": 1,
                "max_perplexity": 1e9,
                "self_distilled": True,
                "generic_ratio": 0.2,
            },
            "training": {"epochs": 1, "lora": {"rank": 2}},
            "baselines": {
                "sure": {
                    "objective": "npo",
                    "wrapper": "sure",
                    "warmup_ratio": 0,
                    "lora": {"rank": 2},
                },
                "all_weights": {"objective": "npo", "method": "full", "warmup_ratio": 0},
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


@pytest.fixture(scope="module")
def compared(
    config: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]], dict[str, str]]:
    """The folder of a comparison, its rows, and what failed."""
    output = tmp_path_factory.mktemp("compared") / "out"
    # The records have no wrong answers, and the rules backend invents none.
    return output, *compare(config, NAMES, output)


def test_rows_files_and_what_failed(
    config: RunConfig, compared: tuple[Path, list[dict[str, Any]], dict[str, str]]
) -> None:
    output, rows, failed = compared
    assert [row["name"] for row in rows] == ["target", "dpo", "sure", "all_weights"]
    assert [row["objective"] for row in rows] == [None, "dpo", "npo", "npo"]
    assert rows[0]["seconds"] is None
    assert all(row["seconds"] > 0 for row in rows[1:])
    assert all(0 <= row["forget/rougeL_recall"] <= 1 for row in rows)
    assert "wrapper_options" in failed["broken"]
    # And not because the alternatives lack the models that other settings need.
    assert "no answer passed" in failed["altpo"]
    assert read_json(output / "compare.json") == {
        "rows": rows,
        "failed": failed,
        "unanswered": {},
    }
    with (output / "compare.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == [row["name"] for row in rows]
    report = (output / "report.html").read_text()
    assert "Methods side by side" in report


def test_every_command_takes_a_full_model_and_leaves_out_what_failed(
    compared: tuple[Path, list[dict[str, Any]], dict[str, str]], tiny_model: Path, tmp_path: Path
) -> None:
    output, _, _ = compared

    def invoke(*arguments: object) -> str:
        result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
        return result.output

    invoke("analyze", output, "--prompts", 2)
    analysis = output / "analysis"
    assert read_json(analysis / "summary.json")["models"] == [
        "target", "unlearned", "sure", "all_weights",
    ]  # fmt: skip
    weights = pd.read_parquet(analysis / "weights.parquet")
    # Fine-tuning of all weights changes every matrix, the adapter of rank 2 no more than that.
    of_full = weights[weights["model"] == "all_weights"]
    assert (of_full["norm"] > 0).all()
    assert of_full["effective_rank"].max() > 2 > weights[weights["model"] == "sure"][
        "effective_rank"
    ].max() - 1e-3  # fmt: skip
    assert '<section id="why"' in (output / "report.html").read_text()

    merged = tmp_path / "merged"
    invoke("merge", output, "--trained", "all_weights", "--output", merged)
    trained = output / "training" / "all_weights"
    for name, tensor in load_file(trained / "model.safetensors").items():
        assert torch.equal(load_file(merged / "model.safetensors")[name], tensor), name
    assert "all_weights" in invoke("chat", output, "Where?", "--trained", "all_weights")
    invoke("report", output)
    with pytest.raises(UserError, match="'all_weights' is trained as a whole"):
        invoke("merge", output, "--ties", "all_weights", "--output", tmp_path / "t")
    for command in (["merge", "--output", tmp_path / "t"], ["chat"]):
        with pytest.raises(UserError, match=r"'broken'.*Known: all_weights, sure, unlearned"):
            invoke(command[0], output, "--trained", "broken", *command[1:])
    assert not (tmp_path / "t").exists()


def test_done_again_it_computes_what_is_new_alone(
    config: RunConfig, compared: tuple[Path, list[dict[str, Any]], dict[str, str]]
) -> None:
    output, rows, failed = compared
    adapter = output / "training" / "sure" / "adapter_model.safetensors"
    written = adapter.stat().st_mtime_ns
    assert compare(config, NAMES, output) == (rows, failed)
    more, _ = compare(config, [*NAMES, "idk"], output)
    assert more[:-1] == rows
    assert more[-1]["name"] == "idk"
    assert adapter.stat().st_mtime_ns == written
    with pytest.raises(UserError, match=r"baselines\.idk"):
        compare(config, NAMES, output)


def test_unknown_name_lists_the_known(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="npo"):
        compare(config, ["nopo"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wrong_setting_is_called_as_it_is_set(config: RunConfig, tmp_path: Path) -> None:
    """Of the first model too, whose training is the run's own."""
    wrong = {"objective": "rmu", "objective_options": {"layer": 7}}
    baselines = {name: TrainingConfig.model_validate(wrong) for name in ("one", "two")}
    for names in (["one"], ["npo", "two"]):
        with pytest.raises(UserError, match=rf"^baselines\.{names[-1]}\.objective_options\.layer"):
            compare(config.model_copy(update={"baselines": baselines}), names, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_objective_of_the_shipped_comparison_fits_a_small_model(
    tiny_model: Path, tmp_path: Path
) -> None:
    config = load_config(Path("comparison"), named={"model.name": str(tiny_model)})
    sets = {name: [Record(id=name, question=f"{name}?", answer="Yes.")] for name in RUN_SETS}
    Stages(config, sets, RunFolder(tmp_path / "run", config, {})).preflight()


def test_shipped_comparison_has_every_objective() -> None:
    baselines = load_config(Path("comparison")).baselines
    assert {training.objective for training in baselines.values()} == set(OBJECTIVES)
    # Negating what `sft` learned on the forget set is the task vector's way.
    assert baselines["task_vector"].lora.scale < 0


def test_half_of_the_user_s_data_is_not_mixed_with_the_sample(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", "--forget", "f.jsonl", "--output", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert "--retain" in str(result.exception)
