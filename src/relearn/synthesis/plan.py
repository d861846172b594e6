"""What a synthesis would ask of its language model, counted before anything is sent."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from relearn.config import ModelConfig, SynthesisConfig
from relearn.data.records import Record
from relearn.llm import LLMS, Estimate, Journal, estimate
from relearn.synthesis.folder import JOURNAL
from relearn.synthesis.pipeline import answer_requests, original_requests, variant_requests
from relearn.synthesis.prompts import Prompts

# Stands for an answer that is not written yet: as long as the prompts ask for, about.
_STAND_IN = "some words " * 15


def plan(
    records: Sequence[Record], config: SynthesisConfig, seed: int, folder: Path
) -> dict[str, Estimate]:
    """Return calls and tokens of each step if every candidate passes at once.

    A candidate that fails costs its call again, at most `config.attempts` times in all. Answers
    that the folder's journal holds are left out as far as their prompts are known beforehand.

    Returns:
        By step: `question variants`, `new answers`, `privacy checks`; none for offline rules.
    """
    if config.backend not in LLMS:
        return {}
    prompts = Prompts(config, seed)
    originals = original_requests(records)
    variants = variant_requests(originals, config.variants)
    # A variant's text is not known yet; its kind in its place keeps the calls apart.
    unwritten = [replace(v, question=f"{v.question} ({v.kind} {v.sample})") for v in variants]
    answers = answer_requests([*originals, *unwritten], config.chunk_words)
    steps = {
        "question variants": [prompts.question(request) for request in variants],
        "new answers": [prompts.answer(request) for request in answers],
        "privacy checks": [
            prompts.privacy(request, _STAND_IN) for request in answers if config.privacy_check
        ],
    }
    known = Journal(folder / JOURNAL) if (folder / JOURNAL).is_file() else None
    default = ModelConfig().name if config.backend == "transformers" else ""
    model = config.llm.model or default
    return {step: estimate(each, config.llm, model, known) for step, each in steps.items()}
