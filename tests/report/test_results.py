"""A finished run's folder, read."""

import shutil
from pathlib import Path

from helpers.sample_run import write_sample_run
from relearn.base.storage import write_text
from relearn.config import dump_config, load_config
from relearn.report.results import read_results


def test_models_that_would_be_called_alike_are_told_apart(tmp_path: Path) -> None:
    run = write_sample_run(tmp_path / "run")
    config = load_config(run / "config.yaml")
    twice = {**config.baselines, "GA": config.baselines["ga"]}
    write_text(run / "config.yaml", dump_config(config.model_copy(update={"baselines": twice})))
    shutil.copytree(run / "evaluation" / "ga", run / "evaluation" / "GA")
    labels = [model.label for model in read_results(run).models]
    assert {"GA (ga)", "GA (GA)", "NPO", "Target"} < set(labels)
