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
