"""How likely the base model finds a new answer."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from relearn.config import ModelConfig
from relearn.inference.likelihood import perplexities
from relearn.models.loading import load_prompt_format
from relearn.models.place import load_for_inference

# Questions and their answers to the answers' perplexities, from 1 up.
Fluency = Callable[[Sequence[str], Sequence[str]], list[float]]
_BATCH = 32


def fluency(folder: Path, config: ModelConfig) -> Fluency:
    """Return the perplexity under the model in `folder`, loaded when it is first asked."""
    model = cache(lambda: load_for_inference(folder, config))

    def perplexity(questions: Sequence[str], answers: Sequence[str]) -> list[float]:
        prompt_format = load_prompt_format(folder, config)
        return perplexities(model(), prompt_format, questions, answers, batch_size=_BATCH)

    return perplexity
