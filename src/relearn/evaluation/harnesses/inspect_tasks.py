"""TOFU, KnowUnDo and files of one's own as tasks of Inspect (`inspect eval`).

Not imported by relearn: Inspect loads this file.
"""

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState, generate

from relearn.data.sources import load_records
from relearn.evaluation.harnesses.answers import SCORES, scores_of


@task
def tofu(source: str = "tofu:forget10_perturbed", max_tokens: int = 128) -> Task:
    """TOFU's questions about invented authors; `source` names another set."""
    return _asked(source, max_tokens)


@task
def knowundo(source: str = "demo:knowundo_forget_unseen", max_tokens: int = 128) -> Task:
    """KnowUnDo's validation questions about what to forget; `source` names another set."""
    return _asked(source, max_tokens)


@task
def records(source: str, max_tokens: int = 128) -> Task:
    """Questions and answers of your own, in any file that relearn reads."""
    return _asked(source, max_tokens)


def _asked(source: str, max_tokens: int) -> Task:
    samples = [
        Sample(id=record.id, input=str(record.question), target=record.answer)
        for record in load_records(source)
    ]
    return Task(
        dataset=MemoryDataset(samples, name=source),
        solver=generate(),
        scorer=answer_scores(),
        config=GenerateConfig(temperature=0, max_tokens=max_tokens),
    )


@scorer(metrics={name: [mean(), stderr()] for name in SCORES})
def answer_scores() -> Scorer:
    """ROUGE-L and exact match, as relearn computes them."""

    async def score(state: TaskState, target: Target) -> Score:
        answer = state.output.completion
        value = scores_of(state.input_text, target.text, answer)
        return Score(value=dict(value), answer=answer)

    return score
