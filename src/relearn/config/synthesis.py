"""Settings of the synthesis."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from relearn.config.llm import LLMConfig
from relearn.config.section import Section


class SynthesisConfig(Section):
    """How the forget set is turned into new answers.

    Attributes:
        backend: Where text comes from: `rules` (offline), `openai`, `transformers` or `vllm`.
        strategy: What a new answer does: `vague`, `refusal`, `idk` or `alternative`.
        variants: Question variants for each record, beside the original question.
        attempts: Candidates tried for each question before it is given up; None means 36 of the
            rules, which cost nothing, and 4 of a language model.
        chunk_words: A longer private answer is replaced in chunks of whole sentences.
        privacy_check: Let the language model, where there is one, check each answer as well.
        max_perplexity: Of an answer, given its question, under `model.name`; None takes no bound.
        completion_share: Share of an answer's words that a completion row gives; 0 for no such row.
        generic: Questions of common knowledge to mix in: `shipped`, or any source of records.
        generic_ratio: Generic rows for each other row; the paper's is 1.2.
        self_distilled: Let the target model answer the generic questions itself.
        prompts: Folder with prompt files of your own; None takes the shipped ones.
        llm: The language model.
    """

    backend: str = "rules"
    strategy: Literal["vague", "refusal", "idk", "alternative"] = "vague"
    variants: int = Field(4, ge=0, le=12)
    attempts: PositiveInt | None = None
    chunk_words: PositiveInt = 150
    privacy_check: bool = True
    max_perplexity: float | None = Field(None, ge=1)
    completion_share: float = Field(0.25, ge=0, lt=1)
    generic: str = "shipped"
    generic_ratio: NonNegativeFloat = 1.2
    self_distilled: bool = False
    prompts: str | None = None
    llm: LLMConfig = LLMConfig()

    @property
    def alternatives(self) -> "SynthesisConfig":
        """The same for one made-up answer to each question, and nothing else."""
        only = {"strategy": "alternative", "variants": 0, "completion_share": 0, "generic_ratio": 0}
        return self.model_copy(update=only)
