"""Settings of the synthesis."""

from typing import Literal

from pydantic import Field

from relearn.config.llm import LLMConfig
from relearn.config.section import MOST, Count, Ratio, Section


class SynthesisConfig(Section):
    """How new answers for the forget set are written.

    Attributes:
        backend: What writes the text: `rules` (offline), `openai`, `transformers` or `vllm`.
        strategy: What a new answer does: `vague`, `refusal`, `idk` or `alternative`.
        variants: Question variants per record, besides the original question.
        attempts: Candidates tried for each question; None means 36 with the rules, which cost
            nothing, and 4 with a language model.
        chunk_words: A private answer longer than this is replaced in chunks of whole sentences.
        privacy_check: Have the language model, if there is one, check each answer as well.
        max_perplexity: Highest perplexity of an answer given its question, under `model.name`; None
            means no limit.
        completion_share: Fraction of an answer's words used as the prompt of a completion row; 0
            means no such rows.
        generic: General-knowledge questions to mix in: any source of records.
        generic_ratio: Generic rows per other row; the paper uses 1.2.
        self_distilled: Have the target model answer the generic questions itself.
        neighbours: Questions about each subject of the retain set that the target model thinks up
            itself, so many tries a subject; with its own answers they are further retain rows.
        prompts: Folder with your own prompt files; None means the shipped ones.
        llm: The language model.
    """

    backend: str = "rules"
    strategy: Literal["vague", "refusal", "idk", "alternative"] = "vague"
    variants: int = Field(4, ge=0, le=12)
    attempts: Count | None = None
    chunk_words: Count = 150
    privacy_check: bool = True
    max_perplexity: float | None = Field(None, ge=1, le=MOST)
    completion_share: float = Field(0.25, ge=0, lt=1)
    generic: str = "demo:common_knowledge"
    generic_ratio: Ratio = 1.2
    self_distilled: bool = False
    neighbours: int = Field(0, ge=0, le=100)
    prompts: str | None = None
    llm: LLMConfig = LLMConfig()

    @property
    def alternatives(self) -> "SynthesisConfig":
        """The same for one made-up answer to each question, and nothing else."""
        only = {"strategy": "alternative", "variants": 0, "completion_share": 0, "generic_ratio": 0}
        return self.model_copy(update=only)
