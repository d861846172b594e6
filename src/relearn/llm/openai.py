"""The backend of endpoints; its packages are the optional extra `relearn-llm[synthesis]`."""

from relearn.base.extras import need
from relearn.config import LLMConfig
from relearn.llm.base import LLMS, LanguageModel


@LLMS.register("openai")
def openai(config: LLMConfig) -> LanguageModel:
    """Any OpenAI-compatible endpoint, by base URL; the key comes from the environment."""
    for module in ("openai", "tenacity"):
        need(module, "the backend openai", "take transformers")
    from relearn.llm.endpoint import Endpoint

    return Endpoint(config)
