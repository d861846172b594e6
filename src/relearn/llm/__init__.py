"""Text from language models, for synthesis and for judges: one interface, chosen by name."""

from relearn.llm import openai, transformers, vllm  # each registers its backend
from relearn.llm.base import (
    LLMS,
    Completion,
    Estimate,
    LanguageModel,
    Prompt,
    ask,
    estimate,
    make_llm,
)
from relearn.llm.journal import Journal

__all__ = [
    "LLMS",
    "Completion",
    "Estimate",
    "Journal",
    "LanguageModel",
    "Prompt",
    "ask",
    "estimate",
    "make_llm",
    "openai",
    "transformers",
    "vllm",
]
