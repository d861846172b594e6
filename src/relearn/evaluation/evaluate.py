"""Evaluation of a model: the passes that a suite's metrics need, judges, scores, results."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedModel

from relearn.base.distributed import by_leader
from relearn.base.errors import UserError
from relearn.base.progress import note
from relearn.base.storage import content_hash, read_json, read_jsonl, write_json
from relearn.config import EvaluationConfig, ModelConfig, RunConfig, SetName, load_benchmark
from relearn.data.checks import check_sets
from relearn.data.records import Record, RecordSets, dumped
from relearn.data.sources import load_sets
from relearn.evaluation.batches import finished_batches
from relearn.evaluation.general import check_tasks, general_ability
from relearn.evaluation.judges.cross_leaks import find_cross_leaks
from relearn.evaluation.metrics import JointMetric, Metric
from relearn.evaluation.metrics.base import chosen_metrics
from relearn.evaluation.open_unlearning import read_rows, results_file
from relearn.evaluation.passes import PASSES, EvaluatedModel, make_pass, passes_for
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import (
    JUDGED,
    by_set,
    check_judges,
    judge_rows,
    score,
    write_results,
)
from relearn.evaluation.significance import paired_tests
from relearn.evaluation.suites import EvaluationData, load_suite, set_sources
from relearn.models.checks import check_arguments, check_asked
from relearn.models.loading import (
    load_config_of,
    load_prompt_format,
    model_folder,
    position_limit,
    tokenizer_named,
)
from relearn.models.place import load_for_inference

_ROWS = "rows.jsonl"


def evaluate_model(
    model: EvaluatedModel,
    base: EvaluatedModel,
    records: Mapping[SetName, Sequence[Record]],
    metrics: Sequence[str],
    config: EvaluationConfig,
    output: Path,
    *,
    key: str,
    title: str = "",
    retain_model: Path | None = None,
) -> dict[str, float]:
    """Make every pass that the metrics need, once; judge, score, and write the results.

    Several processes share the batches of passes and judges; the leader writes.

    Finished batches of passes and judges are kept in `output/parts` until the results are written,
    so that a killed evaluation goes on where it stopped.

    Args:
        model: The model in question.
        base: Whose perplexity and loss are compared with.
        records: By set.
        metrics: Names of metrics.
        config: Batches, lengths, judges.
        output: Folder of the results.
        key: Hash of all that finished batches depend on, so that two evaluations don't mix.
        title: Of the model, for progress bars.
        retain_model: Folder of the results of a model that never saw the forget set.

    Returns:
        Values by `set/metric` and `overall/metric`, as in `metrics.json`.

    Raises:
        UserError: `output` holds something else, there is no such judge or task, or `retain_model`
            holds no results.
    """
    of_retain_model = read_evaluated_rows(retain_model) if retain_model else []
    check_evaluation(records, metrics, config)
    for one in (model, base):
        check_asked(one.prompt_format, records, one.positions, config.max_new_tokens)
    rows = _rows(records)
    wanted = wanted_fields(rows, metrics)
    with finished_batches(output, key) as parts:
        for name in passes_for(set().union(*wanted.values())):
            readers = [row for row in rows if name in passes_for(wanted[row.set])]
            reader = model if PASSES[name].of == "evaluated" else base
            if reader is not model:
                model.release()
            heading = f"{name} of {title}" if title else name
            make_pass(name, readers, reader, config, parts / f"{name}.jsonl", heading)
        general = by_leader(lambda: _general_ability(model, config, parts))
        model.release()
        base.release()
        for set_name, members in by_set(rows).items():
            judge_rows(members, config, wanted[set_name] & set(JUDGED), parts)
        if "cross_leaks" in set().union(*wanted.values()):
            find_cross_leaks(rows)
        values = score(rows, metrics, of_retain_model, general)
        by_leader(lambda: write_results(output, rows, values, of_retain_model, metrics))
    return values


def evaluate_named(
    settings: RunConfig,
    data: EvaluationData,
    metrics: Sequence[str],
    output: Path,
) -> dict[str, float]:
    """Evaluate the model that the settings name by their suite, as `relearn evaluate` does.

    Args:
        settings: Model, columns, suite, judges.
        data: Where the suite's sets are.
        metrics: Names of metrics to take instead of the suite's.
        output: Folder of the results.

    Raises:
        UserError: bad settings, data, model or folder; nothing is written in these cases.
    """
    suite = load_suite(settings.evaluation.suite)
    chosen_metrics(metrics)
    retain_model = settings.evaluation.retain_model
    if retain_model and names_model(retain_model):
        raise UserError(
            f"evaluation.retain_model: {retain_model} holds no evaluation.",
            "Evaluate that model first, and name the --output folder of its results.",
        )
    benchmark = load_benchmark(settings.benchmark) if settings.benchmark else None
    sources = set_sources(suite, data, benchmark.sets if benchmark else {})
    records, asked = load_sets(sources, settings.data, settings.model, tokenizer_named)
    for line in _checked(records, as_published=benchmark is not None):
        note(line)
    if benchmark:
        records = {
            name: _asked_as(benchmark.asked.get(name), each) for name, each in records.items()
        }
    folder = model_folder(settings.model.name)
    base = model_folder(settings.evaluation.perplexity_model or settings.model.name)
    chosen = list(metrics) or suite.metric_names(records, retain_model)
    texts = {name: content_hash(dumped(each)) for name, each in records.items()}
    key = content_hash(
        folder, base, asked.model_dump(mode="json", exclude={"name"}),
        # A language model that judges can be changed on the way: its journal knows whose it is.
        settings.evaluation.model_dump(mode="json", exclude={"backend", "llm", "retain_model"}),
        chosen, texts,
    )  # fmt: skip
    model = loaded_when_needed(folder, asked)
    check_arguments(model.prompt_format, asked)
    return evaluate_model(
        model,
        loaded_when_needed(base, perplexity_config(asked, settings.evaluation)),
        records,
        chosen,
        settings.evaluation,
        output,
        key=key,
        retain_model=Path(retain_model).expanduser() if retain_model else None,
    )


def _checked(sets: RecordSets, *, as_published: bool) -> list[str]:
    """Return notes about the sets; those that overlap are refused, unless a benchmark's do."""
    try:
        return check_sets(sets)
    except UserError as error:
        if not as_published:
            raise
        return [error.problem]


def _asked_as(form: str | None, records: Sequence[Record]) -> list[Record]:
    """Return records with their questions in a benchmark's words, such as what to complete."""
    if form is None:
        return list(records)
    before, after = form.split("{question}")
    return [r.model_copy(update={"question": f"{before}{r.question}{after}"}) for r in records]


def loaded_when_needed(
    folder: Path, config: ModelConfig, adapter: Path | None = None
) -> EvaluatedModel:
    """Return the model in `folder`, with the adapter in `adapter`, for evaluation."""

    def load() -> PreTrainedModel:
        return load_for_inference(folder, config, adapter)

    positions = position_limit(load_config_of(folder, config))
    return EvaluatedModel(load_prompt_format(folder, config), load, positions)


def perplexity_config(model: ModelConfig, evaluation: EvaluationConfig) -> ModelConfig:
    """Return how the model of perplexity is asked: another model by its own chat template."""
    if evaluation.perplexity_model in (None, model.name):
        return model
    return model.model_copy(update={"prompt": model.prompt.model_copy(update={"template": None})})


def check_evaluation(
    records: Mapping[SetName, Sequence[Record]], metrics: Sequence[str], config: EvaluationConfig
) -> None:
    """Refuse settings of an evaluation that could only fail later; loads no model.

    Args:
        records: By set.
        metrics: Names of metrics.
        config: Judges, tasks, the model of perplexity.

    Raises:
        UserError: an unknown metric, judge, task or model, or a missing key.
    """
    rows = _rows(records)
    needed = set().union(*wanted_fields(rows, metrics).values())
    check_judges(rows, config, needed & set(JUDGED))
    check_tasks(config)
    if config.perplexity_model:
        model_folder(config.perplexity_model)


def _rows(records: Mapping[SetName, Sequence[Record]]) -> list[EvaluatedRow]:
    return [_row(name, record) for name, members in records.items() for record in members]


def _row(name: SetName, record: Record) -> EvaluatedRow:
    return EvaluatedRow(
        set=name,
        id=record.id,
        question=record.question,
        reference=record.answer,
        generation="",
        paraphrased_answer=record.paraphrased_answer,
        wrong_answers=list(record.wrong_answers) or None,
        choices=list(record.choices) or None,
    )


def wanted_fields(rows: Sequence[EvaluatedRow], metrics: Sequence[str]) -> dict[str, set[str]]:
    """Return the fields that the metrics need of each set's rows, and what these are made of."""
    sets = by_set(rows)
    wanted: dict[str, set[str]] = {name: set() for name in sets}
    for metric in chosen_metrics(metrics).values():
        needs: dict[str, tuple[str, ...]] = {}
        if isinstance(metric, Metric):
            needs = {name: metric.needs for name, rows in sets.items() if metric.is_about(rows)}
        elif isinstance(metric, JointMetric):
            needs = {n: f for n, f in metric.needs.items() if not n.startswith("retain_model/")}
            needs = needs if needs.keys() <= sets.keys() else {}
        for name, fields in needs.items():
            wanted[name] |= set(fields)
    for of_set in wanted.values():
        if of_set & set(JUDGED):
            of_set.add("generation")
    return wanted


def _general_ability(
    model: EvaluatedModel, config: EvaluationConfig, parts: Path
) -> dict[str, float]:
    if not config.lm_eval_tasks:
        return {}
    file = parts / "general.json"
    if not file.is_file():
        write_json(file, general_ability(model, config))
    values: dict[str, float] = read_json(file)
    return values


def names_model(retain_model: str | None) -> bool:
    """Return whether the setting names a model, and no folder with results of one."""
    if not retain_model:
        return False
    path = Path(retain_model).expanduser()
    return not ((path / _ROWS).is_file() or results_file(path))


def read_evaluated_rows(folder: Path) -> list[EvaluatedRow]:
    """Read the rows of an evaluation, or of open-unlearning's results.

    Raises:
        UserError: there are none.
    """
    file = folder / _ROWS
    if not file.is_file():
        if other := results_file(folder):
            return read_rows(other)
        raise UserError(
            f"{folder} holds no evaluation.", "Name the --output folder of `relearn evaluate`."
        )
    return [EvaluatedRow.model_validate(row) for row in read_jsonl(file)]


def write_comparison(output: Path, others: Mapping[str, Path]) -> None:
    """Test the evaluation in `output` against others; write `comparison.json` there.

    Args:
        output: Folder of an evaluation; the second of each comparison.
        others: Folders of others, by name.

    Raises:
        UserError: a folder holds no evaluation.
    """

    def write() -> None:
        ours = [row.flat() for row in read_evaluated_rows(output)]
        found = {
            name: paired_tests([row.flat() for row in read_evaluated_rows(folder)], ours)
            for name, folder in others.items()
        }
        write_json(output / "comparison.json", found)

    by_leader(write)
