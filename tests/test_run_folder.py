"""Run folders of earlier versions, and of other configurations."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from relearn.base.errors import UserError
from relearn.base.storage import content_hash, read_json, write_json
from relearn.config import RunConfig, TrainingConfig
from relearn.run_folder import RunFolder, Stage


def test_a_run_from_before_a_setting_existed_is_resumed(tmp_path: Path) -> None:
    done: list[str] = []
    with RunFolder(tmp_path / "run", RunConfig(), {}) as folder:
        folder.do(Stage("data", lambda: done.append("data")))
    file, manifest = (tmp_path / "run" / name for name in ("config.yaml", "manifest.json"))
    old = OmegaConf.load(file)
    del old["evaluation"]["suite"]
    OmegaConf.save(old, file)
    write_json(manifest, read_json(manifest) | {"config_hash": content_hash("as it was then")})

    with pytest.raises(UserError, match=r"another configuration \(seed differs\)"):
        RunFolder(tmp_path / "run", RunConfig(seed=1), {}).__enter__()
    more = RunConfig(baselines={"ga": TrainingConfig(objective="ga")})
    with RunFolder(tmp_path / "run", more, {}) as folder:
        folder.do(Stage("data", lambda: done.append("data again")))
        folder.do(Stage("training/ga", lambda: done.append("ga")))
    assert done == ["data", "ga"]
    assert "suite: relearn" in file.read_text()


def test_a_run_is_not_resumed_with_another_content_of_a_file(tmp_path: Path) -> None:
    """Whatever setting names it, and with the same name of the file."""
    extension, generic, suite = (tmp_path / name for name in ("own.py", "g.jsonl", "s.yaml"))
    folders = prompts, tasks = tmp_path / "prompts", tmp_path / "tasks"
    for folder in folders:
        folder.mkdir()
    files = [extension, generic, suite, prompts / "question.yaml", tasks / "task.yaml"]
    for file in files:
        file.write_text("as it was")
    config = RunConfig.model_validate(
        {
            "extensions": [str(extension)],
            "synthesis": {"generic": str(generic), "prompts": str(prompts)},
            "evaluation": {"suite": str(suite), "lm_eval_path": str(tasks)},
        }
    )
    names = [
        f"extension {extension}", "synthesis.generic", "evaluation.suite", "synthesis.prompts",
        "evaluation.lm_eval_path",
    ]  # fmt: skip
    for _ in range(2):
        with RunFolder(tmp_path / "run", config, {}):
            pass
    for file, name in zip(files, names, strict=True):
        file.write_text("another")
        with pytest.raises(UserError, match=rf"the content of {name} has changed"):
            RunFolder(tmp_path / "run", config, {}).__enter__()
        file.write_text("as it was")
    # An earlier version's manifest says nothing of files.
    manifest = tmp_path / "run" / "manifest.json"
    write_json(manifest, {k: v for k, v in read_json(manifest).items() if k != "files"})
    with RunFolder(tmp_path / "run", config, {}):
        pass
