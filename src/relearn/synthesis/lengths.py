"""Whether a row that synthesis makes is short enough to be trained on."""

from collections.abc import Callable
from pathlib import Path

from relearn.config import ModelConfig
from relearn.models.loading import load_config_of, load_prompt_format, position_limit

# A question, its answer and how many tokens may follow, to what is wrong with the row's length; ""
# for nothing.
TooLong = Callable[[str, str, int], str]


def too_long(folder: Path, config: ModelConfig, max_length: int) -> TooLong:
    """Return the bound of a training on the model in `folder`, as `check_lengths` has it.

    Args:
        folder: Of the model that is trained.
        config: How it is asked.
        max_length: Tokens of the longest row, `training.max_length`.
    """
    prompt_format = load_prompt_format(folder, config)
    limit = min(max_length, position_limit(load_config_of(folder, config)))

    def reason(question: str, answer: str, more: int) -> str:
        length = len(prompt_format.encode(question, answer, end=True)) + more
        return f"makes a row of more than {limit:.0f} tokens" if length > limit else ""

    return reason
