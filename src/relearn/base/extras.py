"""Optional packages: named, with the command that installs them, before anything is computed."""

from importlib.util import find_spec

from relearn.base.errors import UserError

EXTRAS = {
    "bitsandbytes": "gpu",
    "liger_kernel": "gpu",
    "lm_eval": "lm-eval",
    "openai": "synthesis",
    "openpyxl": "excel",
    "tenacity": "synthesis",
    "vllm": "vllm",
}
"""Which extra of relearn brings a module."""


def need(module: str, purpose: str, instead: str = "") -> None:
    """Refuse to go on without an optional package.

    Args:
        module: One of `EXTRAS`, as it is imported.
        purpose: What needs it, as the beginning of a sentence.
        instead: What works without it, as the end of one: "take transformers".

    Raises:
        UserError: it is not installed; the message has the command that installs it.
    """
    if find_spec(module) is None:
        raise UserError(
            f"{purpose} needs {module}, which is not installed.",
            f"pip install 'relearn[{EXTRAS[module]}]'" + (f", or {instead}." if instead else ""),
        )
