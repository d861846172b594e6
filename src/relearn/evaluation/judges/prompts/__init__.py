"""The prompts of judges; `needs` in a file names the texts that are sent."""

from collections.abc import Mapping
from functools import cache
from importlib import resources

from relearn.llm import Prompt
from relearn.llm.fence import fenced
from relearn.llm.prompt_files import PromptFile


def render(name: str, texts: Mapping[str, str], sample: int = 0) -> Prompt:
    """Return the prompt of the file `name`, the texts in it set off so that they can't steer.

    Args:
        name: A file's, without `.yaml`.
        texts: By slot; those that the file does not need are not sent.
        sample: Which of several answers to the same prompt is wanted.
    """
    file = _file(name)
    return file.render(fenced({slot: texts[slot] for slot in file.content["needs"]}), sample)


@cache
def _file(name: str) -> PromptFile:
    return PromptFile(resources.files(__name__) / f"{name}.yaml")
