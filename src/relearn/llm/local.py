"""What local models have in common: prompts as tokens, what is too long, what the limits allow."""

from collections.abc import Callable, Mapping, Sequence

from transformers import PreTrainedTokenizerBase

from relearn.data.tokenization import PromptFormat
from relearn.llm.base import Prompt, Report
from relearn.llm.budget import Budget, LimitReachedError
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


def answer_within(
    budget: Budget,
    indices: Sequence[int],
    ids: Mapping[int, list[int]],
    prompts: Sequence[Prompt],
    answer: Callable[[list[int]], list[Completion]],
    report: Report,
) -> None:
    """Answer some prompts as far as the limits allow, and report the others as failed.

    Args:
        budget: The model's.
        indices: Of the prompts; answered in one batch, or in several where the limits allow no more
            at a time.
        ids: The prompts' tokens by index.
        prompts: All prompts.
        answer: Answers the prompts of these indices.
        report: Gets every completion; see `LanguageModel.generate`.
    """
    waiting = list(indices)
    while waiting:
        batch: list[int] = []
        try:
            for i in waiting:
                budget.take(len(ids[i]), prompts[i].max_tokens)
                batch.append(i)
        except LimitReachedError as limit:
            if not batch:  # nothing is under way that could use less than is set aside for it
                report(waiting.pop(0), Completion(error=str(limit)))
                continue
        for i, completion in zip(batch, answer(batch), strict=True):
            budget.add(0, completion.completion_tokens - prompts[i].max_tokens)
            report(i, completion)
        del waiting[: len(batch)]
