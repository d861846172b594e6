"""General ability, by EleutherAI's lm-evaluation-harness (the extra `relearn[lm-eval]`)."""

from typing import Any

from relearn.base.errors import UserError
from relearn.config import EvaluationConfig
from relearn.evaluation.metrics.base import Figure
from relearn.evaluation.passes import EvaluatedModel

ABILITY = Figure(
    label="General ability",
    text="Mean accuracy over the tasks of lm-evaluation-harness.",
    higher_is_better=True,
)
"""How `general/ability` is to be read."""

# Which figure of a task is its accuracy, the first that it has.
_ACCURACIES = ("acc,none", "acc_norm,none", "exact_match,none", "f1,none")


def general_ability(model: EvaluatedModel, config: EvaluationConfig) -> dict[str, float]:
    """Return the accuracy on each of `config.lm_eval_tasks`, and their mean, each 0 to 1.

    Source: Gao et al. 2021, lm-evaluation-harness; Hendrycks et al. 2020, MMLU (arXiv 2009.03300)

    Returns:
        Values by `general/TASK`, and `general/ability`, the mean.

    Raises:
        UserError: the harness is not installed, or a task is unknown or has no accuracy.
    """
    tasks = _tasks(config)
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    wrapped = HFLM(
        pretrained=model.model,
        tokenizer=model.prompt_format.tokenizer,
        batch_size=config.batch_size,
    )
    results = simple_evaluate(
        model=wrapped,
        tasks=list(config.lm_eval_tasks),
        task_manager=tasks,
        limit=config.lm_eval_limit,
        bootstrap_iters=0,
    )["results"]
    values = {f"general/{name}": _accuracy(name, results[name]) for name in config.lm_eval_tasks}
    return values | {"general/ability": sum(values.values()) / len(values)}


def check_tasks(config: EvaluationConfig) -> None:
    """Find a wrong task before a model is loaded.

    Raises:
        UserError: the harness is not installed, or a task is unknown.
    """
    if config.lm_eval_tasks:
        _tasks(config)


def _tasks(config: EvaluationConfig) -> Any:
    """Return the harness's task manager, which knows all tasks that are wanted."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise UserError(
            "evaluation.lm_eval_tasks needs lm-evaluation-harness.",
            "pip install 'relearn[lm-eval]'",
        ) from error
    tasks = TaskManager(include_path=config.lm_eval_path)
    unknown = [name for name in config.lm_eval_tasks if name not in tasks.all_tasks]
    if unknown:
        raise UserError(
            f"lm-evaluation-harness has no task {', '.join(unknown)}.",
            "Check evaluation.lm_eval_tasks and evaluation.lm_eval_path.",
        )
    return tasks


def _accuracy(task: str, figures: dict[str, float]) -> float:
    for name in _ACCURACIES:
        if name in figures:
            return float(figures[name])
    raise UserError(f"task {task} has no accuracy.", "Choose another for evaluation.lm_eval_tasks.")
