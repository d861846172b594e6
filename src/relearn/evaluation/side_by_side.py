"""Figures of several models, whoever computed them."""

from pathlib import Path

from relearn.base.errors import UserError
from relearn.base.storage import read_json
from relearn.evaluation.open_unlearning import read_figures, results_file

Figures = dict[str, float]
"""By full name, such as `forget/kfr`."""


def results_in(path: Path) -> dict[str, Figures]:
    """Return the figures in a place, by the name of the model or folder.

    Args:
        path: Output of an evaluation, a run, or results of open-unlearning.

    Raises:
        UserError: there are none.
    """
    if (path / "metrics.json").is_file():
        return {path.name: read_json(path / "metrics.json")}
    of_run = sorted(path.glob("evaluation/*/metrics.json"))
    if of_run:
        return {f"{path.name}/{file.parent.name}": read_json(file) for file in of_run}
    if file := results_file(path):
        return {str(path if path.is_dir() else file.with_suffix("")): read_figures(file)}
    raise UserError(
        f"{path} holds no results.",
        "Name the output of an evaluation, a run folder, or open-unlearning's TOFU_SUMMARY.json.",
    )
