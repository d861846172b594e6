"""A local model through vLLM's offline engine; the optional extra `relearn-llm[vllm]`."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from relearn.base.errors import UserError
from relearn.base.extras import need
from relearn.config import LLMConfig, ModelConfig
from relearn.data.tokenization import PromptFormat
from relearn.llm.base import LLMS, Prompt, Report
from relearn.llm.budget import Budget
from relearn.llm.journal import Completion
from relearn.llm.local import answer_within, fitting_prompts
from relearn.models.loading import load_prompt_format, model_folder

# Answers reach the journal in groups of so many; the engine schedules within a group.
_GROUP = 512


@LLMS.register("vllm")
class Vllm:
    """A local model through vLLM's offline engine (`pip install relearn-llm[vllm]`)."""

    def __init__(self, config: LLMConfig) -> None:
        if not config.model:
            raise UserError("vLLM's model is not named.", "Set llm.model (--llm NAME).")
        need("vllm", "the backend vllm", "take transformers")
        import vllm

        self._vllm = vllm
        self._budget = Budget(config)
        # A group can't be stopped: under a time limit it is as small as a batch.
        self._group = config.batch_size if config.max_seconds else _GROUP
        self._options = config.engine_options
        self.model = config.model
        self._folder = model_folder(self.model)

    @cached_property
    def _prompt_format(self) -> PromptFormat:
        return load_prompt_format(self._folder, ModelConfig(name=self.model))

    @cached_property
    def _engine(self) -> Any:
        return self._vllm.LLM(model=str(self._folder), **self._options)

    def generate(self, prompts: Sequence[Prompt], report: Report) -> None:
        """Answer group by group; see `LanguageModel.generate`."""
        longest = self._engine.llm_engine.model_config.max_model_len
        ids = fitting_prompts(prompts, self._prompt_format.tokenizer, longest, report)
        fitting = list(ids)
        for start in range(0, len(fitting), self._group):
            answer_within(
                self._budget,
                fitting[start : start + self._group],
                ids,
                prompts,
                lambda group: self._answers([ids[i] for i in group], [prompts[i] for i in group]),
                report,
            )

    def _answers(self, ids: list[list[int]], prompts: list[Prompt]) -> list[Completion]:
        outputs = self._engine.generate(
            [{"prompt_token_ids": each} for each in ids],
            [self._sampling(prompt) for prompt in prompts],
            use_tqdm=False,
        )
        completions = []
        for sent, output in zip(ids, outputs, strict=True):
            (answer,) = output.outputs
            text = answer.text.strip()
            error = "" if text else "empty response"
            completions.append(Completion(text, error, len(sent), len(answer.token_ids), 1))
        return completions

    def _sampling(self, prompt: Prompt) -> Any:
        return self._vllm.SamplingParams(
            temperature=prompt.temperature,
            max_tokens=prompt.max_tokens,
            seed=prompt.sample,
            stop_token_ids=self._prompt_format.end_tokens,
        )
