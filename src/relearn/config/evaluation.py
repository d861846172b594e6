"""Settings of the evaluation."""

from typing import Literal

from relearn.config.llm import LLMConfig
from relearn.config.section import Count, Section


class EvaluationConfig(Section):
    """How answers are generated and judged.

    Attributes:
        suite: Which metrics are computed: a suite by name (`relearn list suites`) or a YAML file.
        batch_size: Prompts per batch.
        max_new_tokens: Longest answer, in tokens.
        perplexity_model: Model that computes perplexity; None means `model.name`, the base model.
        retain_model: Model that never saw the forget set, with which forget quality and privacy
            leakage compare: by name or folder, or the folder of its results by `relearn evaluate`.
            `never_saw` means the one that a run makes if it makes its target (`memorize`).
        entities: Judge that extracts entities: `spacy` (English), `llm` for a language model, or
            for other languages a spaCy pipeline by name or folder, or `blank:LANGUAGE`.
        similarity: Sentence-embedding model: embedded, hub name or folder.
        entailment: Judge that labels pairs: `minilm-nli`, or a cross-encoder by hub name or folder.
        backend: Where language models that judge run: `openai`, `transformers` or `vllm`.
        llm: The language model that judges.
        lm_eval_tasks: Tasks of lm-evaluation-harness that measure general ability; none by default.
        lm_eval_path: Folder with your own task files.
        lm_eval_limit: Questions per task; None means all.
    """

    suite: str = "relearn"
    batch_size: Count = 32
    max_new_tokens: Count = 128
    perplexity_model: str | None = None
    retain_model: str | None = None
    entities: str = "spacy"
    similarity: str = "minilm"
    entailment: str = "minilm-nli"
    backend: Literal["openai", "transformers", "vllm"] = "openai"
    llm: LLMConfig = LLMConfig()
    lm_eval_tasks: list[str] = []
    lm_eval_path: str | None = None
    lm_eval_limit: Count | None = None
