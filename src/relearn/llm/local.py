"""What local models have in common: the prompt as tokens, and what is too long for the model."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from relearn.data.tokenization import PromptFormat
from relearn.llm.base import Prompt, Report
from relearn.llm.journal import Completion


def fitting_prompts(
    prompts: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase, longest: float, report: Report
) -> dict[int, list[int]]:
    """Return the tokens of each prompt that fits, by its index; report the others as failed.

    Args:
        prompts: What is asked.
        tokenizer: The model's.
        longest: Tokens that prompt and answer may have together.
        report: Gets the failures; see `LanguageModel.generate`.
    """
    formats = {p.system: PromptFormat(tokenizer, p.system or None) for p in prompts}
    ids = [formats[p.system].encode_prompt(p.user) for p in prompts]
    fitting: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        if len(ids[i]) + prompt.max_tokens > longest:
            report(i, Completion(error=f"the prompt has {len(ids[i])} tokens: too many"))
        else:
            fitting[i] = ids[i]
    return fitting
