"""General ability, by EleutherAI's lm-evaluation-harness (the extra `relearn-llm[lm-eval]`)."""

from typing import Any

from relearn.base.errors import UserError
from relearn.base.extras import need
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


def _asked_in_its_format(model: EvaluatedModel, batch_size: int) -> Any:
    """Return the model as the harness takes it, asked in its own prompt format."""
    from lm_eval.models.huggingface import HFLM

    prompt_format = model.prompt_format

    class Asked(HFLM):
        def apply_chat_template(
            self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
        ) -> str:
            # A task's description and its examples are part of the question; a message of the
            # assistant's, where there is one, begins the answer.
            asked = [m["content"] for m in chat_history if m["role"] != "assistant"]
            begun = [m["content"] for m in chat_history if m["role"] == "assistant"]
            prompt = prompt_format.prompt("\n\n".join(asked))
            return "".join([prompt, prompt_format.gap, *begun])

        def chat_template(self, chat_template: bool | str = False) -> str:
            return ""  # what the harness notes beside its own results, which are not kept

        def tok_batch_encode(self, strings: list[str], **options: Any) -> Any:
            # The space before an answer belongs to its first token.
            return super().tok_batch_encode([s.rstrip(" ") for s in strings], **options)

    return Asked(
        pretrained=model.model,
        tokenizer=prompt_format.tokenizer,
        batch_size=batch_size,
        # A chat template brings its own beginning.
        add_bos_token=not prompt_format.uses_chat_template,
    )


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

    results = simple_evaluate(
        model=_asked_in_its_format(model, config.batch_size),
        tasks=list(config.lm_eval_tasks),
        task_manager=tasks,
        limit=config.lm_eval_limit,
        bootstrap_iters=0,
        # A base model without any format continues a task's text as it is.
        apply_chat_template=model.prompt_format.has_template,
        fewshot_as_multiturn=False,
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
    need("lm_eval", "evaluation.lm_eval_tasks")
    from lm_eval.tasks import TaskManager

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
