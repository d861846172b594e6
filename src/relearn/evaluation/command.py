"""`relearn.evaluate`: a model evaluated with a suite, or answers from any system scored."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from relearn.base.distributed import together
from relearn.base.errors import UserError
from relearn.base.extensions import load_extensions
from relearn.base.notebook import html_table
from relearn.base.private import private_files
from relearn.base.storage import read_json
from relearn.base.workspace import InFolder, ResultFolder
from relearn.config import RunConfig, config_from_keywords
from relearn.evaluation.evaluate import evaluate_named, read_evaluated_rows, write_comparison
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import evaluate_generations, read_not_computed
from relearn.evaluation.suites import EvaluationData
from relearn.models.given import GivenModel, given_name


class EvaluationResult(InFolder):
    """What an evaluation's folder says."""

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Figures by `set/metric` and `overall/metric`."""
        return dict(read_json(self.path / "metrics.json"))

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % bootstrap interval of each figure that has one."""
        found = read_json(self.path / "intervals.json")
        return {name: (each["low"], each["high"]) for name, each in found.items()}

    @cached_property
    def rows(self) -> list[EvaluatedRow]:
        """One row a question, with answer, judgements and scores. Private and untrusted text."""
        return read_evaluated_rows(self.path)

    @property
    def not_computed(self) -> list[str]:
        """Which metrics that were asked for have no value, and why."""
        return read_not_computed(self.path)

    @cached_property
    def comparison(self) -> dict[str, Any]:
        """Paired tests against the results that were named, by their folder."""
        file = self.path / "comparison.json"
        return dict(read_json(file)) if file.is_file() else {}

    def __repr__(self) -> str:
        return f"EvaluationResult({len(self.metrics)} figures of {len(self.rows)} rows)"

    def _repr_html_(self) -> str:
        rows = [[name, f"{value:.4g}"] for name, value in self.metrics.items()]
        return html_table(f"{len(self.rows)} rows", ["metric", "value"], rows)


def evaluate(
    model: GivenModel | None = None,
    data: EvaluationData = (),
    *,
    generations: str | os.PathLike[str] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    suite: str | os.PathLike[str] | None = None,
    metrics: Sequence[str] = (),
    retain_model: str | os.PathLike[str] | None = None,
    against: Sequence[str | os.PathLike[str]] = (),
    output: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> EvaluationResult:
    """Evaluate a model with a suite, or score answers from any system; as `relearn evaluate` does.

    Args:
        model: Whatever `--model` takes, or a model in memory, of which a copy is written to a
            temporary folder.
        data: The suite's sets: their folder, or a source for each.
        generations: In place of a model: file with answers, scored without loading a model.
        tokenizer: Of a model in memory; None means the one in the folder that it came from.
        suite: By name (`relearn list suites`) or a YAML file; None means `relearn`.
        metrics: Names of metrics to compute instead of the suite's.
        retain_model: Folder of the results of a model that never saw the forget set.
        against: Folders of results to compare with (paired tests).
        output: Folder of the results; None means a temporary one, deleted together with the result.
        config: A YAML file or the name of a recipe.
        **settings: Settings of the evaluation (`batch_size=8`), or as in `relearn.unlearn`.

    Raises:
        UserError: bad settings, data, model or folder; nothing is computed in these cases.
    """
    folder, holder = ResultFolder(output), ResultFolder(None)
    name = None if model is None else given_name(model, tokenizer, holder.path / "model")
    named = {
        "model.name": name,
        "evaluation.suite": suite,
        "evaluation.retain_model": retain_model,
    }
    run_evaluation(
        config_from_keywords(config, settings, named, "evaluation"),
        folder.path,
        data=data,
        generations=Path(generations) if generations else None,
        has_model=name is not None,
        metrics=metrics,
        against=[Path(each) for each in against],
    )
    return EvaluationResult(folder)


@private_files()
def run_evaluation(
    settings: RunConfig,
    output: Path,
    *,
    data: EvaluationData = (),
    generations: Path | None = None,
    has_model: bool = True,
    metrics: Sequence[str] = (),
    against: Sequence[Path] = (),
) -> None:
    """Do what `evaluate` does, with settings that are put together; write it to `output`.

    Args:
        settings: Model, columns, suite, judges.
        output: Folder of the results.
        data: See `evaluate`.
        generations: See `evaluate`.
        has_model: Whether the settings' model was named by the user.
        metrics: See `evaluate`.
        against: See `evaluate`.

    Raises:
        UserError: see `evaluate`.
    """
    load_extensions(settings.extensions)
    if (generations is None) != has_model:
        raise UserError("evaluate takes either generations or a model.", "Give one of them.")
    if generations and (data or metrics or settings.evaluation.retain_model):
        raise UserError("data, metrics and a retain model go with a model.", "Leave them out.")
    for folder in against:
        # A mistake is found before anything is computed.
        if not any(row.question for row in read_evaluated_rows(folder)):
            raise UserError(
                f"{folder}: its rows have no questions by which rows can be paired.",
                "Put figures side by side: relearn results DIR FILE.",
            )

    def work() -> None:
        if generations:
            evaluate_generations(generations, output, settings.evaluation)
        else:
            evaluate_named(settings, data, metrics, output)
        if against:
            write_comparison(output, {str(folder): folder for folder in against})

    together(work)
