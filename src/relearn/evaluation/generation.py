"""Batched generation of answers."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from relearn.data.tokenization import PromptFormat
from relearn.progress import progress_bar


@torch.inference_mode()
def generate_answers(
    model: PreTrainedModel,
    prompt_format: PromptFormat,
    questions: Sequence[str],
    *,
    batch_size: int,
    max_new_tokens: int,
    title: str | None = "generating",
) -> list[str]:
    """Answer `questions` greedily, in batches of prompts of like length.

    Greedy decoding, so that the same model gives the same answers; the paper's code samples at
    temperature 0.7.

    Returns:
        The answers in the order of the questions, without special tokens and outer white space.
    """
    tokenizer = prompt_format.tokenizer
    prompts = [prompt_format.encode_prompt(question) for question in questions]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers = [""] * len(prompts)
    with progress_bar(title) as advance:
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            padded = tokenizer.pad(
                {"input_ids": [prompts[i] for i in batch]}, padding_side="left", return_tensors="pt"
            ).to(model.device)
            output = model.generate(  # type: ignore[operator]  # untyped in transformers
                **padded,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=tokenizer.pad_token_id,
            )
            new = output[:, padded.input_ids.shape[1] :]
            texts = tokenizer.batch_decode(new, skip_special_tokens=True)
            for i, text in zip(batch, texts, strict=True):
                answers[i] = text.strip()
            advance(start + len(batch), len(order), "")
    return answers
