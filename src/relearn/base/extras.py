"""Optional packages: named, with the command that installs them, before anything is computed."""

from importlib.util import find_spec

from relearn.base.errors import UserError

DISTRIBUTION = "relearn-llm"
"""What relearn's own package is called; `relearn` on PyPI is another project."""

EXTRAS = {
    "altair": "report",
    "bitsandbytes": "gpu",
    "datasets": "datasets",
    "liger_kernel": "gpu",
    "lm_eval": "lm-eval",
    "openai": "synthesis",
    "openpyxl": "excel",
    "pandas": "analysis",
    "tenacity": "synthesis",
    "vl_convert": "report",
    "vllm": "vllm",
}
"""Which extra of relearn brings a module."""


def installing(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def present(extra: str) -> bool:
    """Return whether everything is installed that an extra brings, for what works without it."""
    return all(find_spec(module) for module, brought_by in EXTRAS.items() if brought_by == extra)


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
            installing(EXTRAS[module]) + (f", or {instead}." if instead else ""),
        )
