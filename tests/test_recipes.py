"""Recipes: each is a whole configuration that a run would accept, and can be copied and changed."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relearn.base.errors import UserError
from relearn.cli import app
from relearn.config import RunConfig, copy_recipe, load_config, recipes
from relearn.data.sources import load_records
from relearn.run_folder import RunFolder
from relearn.stages import Stages

NAMES = sorted(recipes())
EXPECTED = {
    "comparison", "demo", "eight-gpus", "knowundo", "knowundo-small", "muse", "own-1b", "own-7b",
    "paper", "qlora", "tofu", "tofu-small",
}  # fmt: skip


def test_there_is_a_recipe_for_each_known_job() -> None:
    assert set(NAMES) >= EXPECTED


# What `relearn compare` does by default is tested in test_comparison.py.
@pytest.mark.parametrize("name", sorted({*NAMES} - {"comparison"}))
def test_a_run_would_accept_the_recipe(
    name: str, tmp_path: Path, tiny_model: Path, data_files: Path
) -> None:
    """With a tiny model and a few records in the place of the recipe's own, all checks pass."""
    recipe = load_config(Path(name))
    instead = {"model.name": str(tiny_model), "model.dtype": "float32"}
    if recipe.evaluation.retain_model:
        instead["evaluation.retain_model"] = str(tiny_model)
    if recipe.training.method == "qlora" and not find_spec("bitsandbytes"):
        instead["training.method"] = "lora"
    preflight(load_config(Path(name), named=instead), data_files, tmp_path / "run")


def preflight(config: RunConfig, data_files: Path, output: Path) -> None:
    named = [set_name for set_name, source in config.data if source and isinstance(source, str)]
    slices = data_files / "tofu"
    sets = {}
    for set_name in {"forget", "retain", *named}:
        file = slices / f"{set_name}_perturbed.json"
        if not file.exists():
            other = "retain" if set_name.startswith("retain") else "forget10"
            file = slices / f"{other}_perturbed.json"
        found = load_records(str(file), set_name=set_name)
        # No question may be in two sets.
        sets[set_name] = [
            r.model_copy(update={"question": f"{r.question} ({set_name})"}) for r in found[:3]
        ]
    Stages(config, sets, RunFolder(output, config, {})).preflight()


def test_a_run_would_refuse_a_recipe_that_is_wrong(
    tmp_path: Path, tiny_model: Path, data_files: Path
) -> None:
    wrong = {"model.name": str(tiny_model), "training.objective": "no"}
    config = load_config(Path("own-1b"), named=wrong)
    with pytest.raises(UserError, match="objective"):
        preflight(config, data_files, tmp_path / "run")


def test_a_recipe_is_listed_and_copied_with_its_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(app, ["recipes"], env={"COLUMNS": "120"})
    assert listed.exit_code == 0
    assert [name for name in NAMES if name not in listed.output] == []
    copied = CliRunner().invoke(app, ["recipes", "copy", "qlora"])
    assert copied.exit_code == 0
    text = Path("qlora.yaml").read_text(encoding="utf-8")
    assert text == recipes()["qlora"].read_text(encoding="utf-8")
    assert text.startswith("# Your own data")
    Path("qlora.yaml").write_text(text.replace("epochs: 2", "epochs: 5"), encoding="utf-8")
    assert load_config(Path("qlora.yaml")).training.epochs == 5
    assert CliRunner().invoke(app, ["recipes", "copy", "demo", "mine.yaml"]).exit_code == 0
    assert load_config(Path("mine.yaml")) == load_config(Path("demo"))


def test_no_file_is_overwritten_by_a_recipe(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("seed: 3\n")
    with pytest.raises(UserError, match="already exists"):
        copy_recipe("demo", mine)
    assert mine.read_text() == "seed: 3\n"
    with pytest.raises(UserError, match=r"no recipe is called 'dem'.*Did you mean 'demo'"):
        copy_recipe("dem", tmp_path / "other.yaml")
    assert list(tmp_path.iterdir()) == [mine]


# Shell completion


def completed(words: str) -> list[str]:
    """What bash offers for the last of the words that are typed."""
    asked = {
        "_RELEARN_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    return CliRunner().invoke(app, [], prog_name="relearn", env=asked).output.split()


def test_the_shell_completes_commands_and_names() -> None:
    assert completed("relearn rec") == ["recipes"]
    assert completed("relearn recipes copy own") == ["own-1b", "own-7b"]
    assert completed("relearn list met") == ["metrics"]
    assert completed("relearn recipes copy nothing-like-it") == []
    assert "--retain" in completed("relearn run --ret")


def test_the_shells_script_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    # The shell is named here, whatever shell the tests are run from.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    shown = CliRunner().invoke(app, ["--show-completion", "bash"], prog_name="relearn")
    assert shown.exit_code == 0, shown.output
    assert "_RELEARN_COMPLETE" in shown.output
