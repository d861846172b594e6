"""A local model through transformers, in batches of prompts of like length."""

from collections.abc import Sequence
from functools import cached_property
from itertools import groupby

import torch
from transformers import PreTrainedModel

from relearn.base.storage import content_hash
from relearn.config import LLMConfig, ModelConfig
from relearn.data.tokenization import PromptFormat
from relearn.inference.length_batches import length_batches
from relearn.llm.base import LLMS, Prompt, Report
from relearn.llm.budget import Budget
from relearn.llm.journal import Completion
from relearn.llm.local import answer_within, fitting_prompts
from relearn.models.loading import load_prompt_format, model_folder, position_limit
from relearn.models.place import load_for_inference


@LLMS.register("transformers")
class Transformers:
    """A local model: embedded, hub name, folder or `.gguf` file; nothing leaves the machine."""

    def __init__(self, config: LLMConfig) -> None:
        self._config = config
        self._budget = Budget(config)
        self.model = config.model or ModelConfig().name
        self._folder = model_folder(self.model)

    @cached_property
    def _loaded(self) -> tuple[PreTrainedModel, PromptFormat]:
        config = ModelConfig(name=self.model)
        return load_for_inference(self._folder, config), load_prompt_format(self._folder, config)

    def generate(self, prompts: Sequence[Prompt], report: Report) -> None:
        """Answer batch by batch; see `LanguageModel.generate`."""
        model, prompt_format = self._loaded
        longest = position_limit(model.config)
        ids = fitting_prompts(prompts, prompt_format.tokenizer, longest, report)

        # A recurrent state that has read padding is another one.
        by_length = getattr(model, "_is_stateful", False)

        def settings(i: int) -> tuple[float, int, int]:
            length = len(ids[i]) if by_length else 0
            return prompts[i].temperature, prompts[i].max_tokens, length

        for _, group in groupby(sorted(ids, key=settings), settings):
            size = self._config.batch_size
            for same in length_batches(list(group), lambda i: len(ids[i]), size):
                answer_within(
                    self._budget,
                    same,
                    ids,
                    prompts,
                    lambda batch: self._answers([ids[i] for i in batch], prompts[batch[0]]),
                    report,
                )

    @torch.inference_mode()
    def _answers(self, ids: list[list[int]], prompt: Prompt) -> list[Completion]:
        """Answer one batch of prompts with the settings of `prompt`."""
        model, prompt_format = self._loaded
        tokenizer = prompt_format.tokenizer
        padded = tokenizer.pad({"input_ids": ids}, padding_side="left", return_tensors="pt")
        sampled = prompt.temperature > 0
        with torch.random.fork_rng():
            # The same prompts get the same answers, whatever was asked before.
            torch.manual_seed(int(content_hash(ids, prompt.sample)[:12], 16))
            output = model.generate(  # type: ignore[operator]  # untyped in transformers
                **padded.to(model.device),
                max_new_tokens=prompt.max_tokens,
                max_time=self._budget.seconds_left(),
                do_sample=sampled,
                temperature=prompt.temperature if sampled else None,
                top_p=1.0 if sampled else None,
                top_k=0 if sampled else None,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=prompt_format.end_tokens or None,
            )
        new = output[:, padded.input_ids.shape[1] :]
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        received = (new != tokenizer.pad_token_id).sum(1).tolist()
        whole = new.shape[1] == prompt.max_tokens
        ends = torch.tensor([tokenizer.pad_token_id, *prompt_format.end_tokens]).to(new.device)
        ended = torch.isin(new[:, -1], ends).tolist()
        return [
            self._completion(text.strip(), len(row), count, whole or has_ended)
            for text, row, count, has_ended in zip(texts, ids, received, ended, strict=True)
        ]

    def _completion(self, text: str, sent: int, received: int, finished: bool) -> Completion:
        if not finished:
            limit = f"the time limit of {self._config.max_seconds:g} s is reached"
            return Completion(error=limit, prompt_tokens=sent, completion_tokens=received)
        return Completion(text, "" if text else "empty response", sent, received, 1)
