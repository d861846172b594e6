"""A local model through vLLM's offline engine; the optional extra `relearn[vllm]`."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from relearn.config import LLMConfig
from relearn.errors import UserError
from relearn.llm.base import LLMS, Prompt, Report
from relearn.llm.journal import Completion
from relearn.models.loading import model_folder

# Answers reach the journal in groups of so many; the engine schedules within a group.
_GROUP = 512


@LLMS.register("vllm")
class Vllm:
    """A local model on a GPU through vLLM's offline engine (`pip install relearn[vllm]`)."""

    def __init__(self, config: LLMConfig) -> None:
        if not config.model:
            raise UserError("vLLM's model is not named.", "Set llm.model (--llm NAME).")
        try:
            import vllm
        except ImportError as error:
            raise UserError(
                "vLLM is not installed.", "pip install 'relearn[vllm]', or take transformers."
            ) from error
        self._vllm = vllm
        self.model = config.model

    @cached_property
    def _engine(self) -> Any:
        return self._vllm.LLM(model=str(model_folder(self.model)))

    def generate(self, prompts: Sequence[Prompt], report: Report) -> None:
        """Answer group by group; see `LanguageModel.generate`."""
        for start in range(0, len(prompts), _GROUP):
            group = prompts[start : start + _GROUP]
            parameters = [
                self._vllm.SamplingParams(
                    temperature=prompt.temperature,
                    max_tokens=prompt.max_tokens,
                    seed=prompt.sample,
                )
                for prompt in group
            ]
            outputs = self._engine.chat(
                [prompt.messages for prompt in group], parameters, use_tqdm=False
            )
            for index, output in enumerate(outputs, start):
                text = output.outputs[0].text.strip()
                report(
                    index,
                    Completion(
                        text,
                        "" if text else "empty response",
                        len(output.prompt_token_ids or ()),
                        len(output.outputs[0].token_ids),
                        1,
                    ),
                )
