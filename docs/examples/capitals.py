"""A judge of entities: every capitalised word counts as one."""

import re
from collections.abc import Sequence
from pathlib import Path

from relearn.config import EvaluationConfig
from relearn.evaluation.judges.entities import ENTITIES, Extractor


@ENTITIES.register("capitals")
def capitals(config: EvaluationConfig) -> Extractor:
    """Offline: capitalised words that are not in the question."""

    def extract(
        texts: Sequence[str], questions: Sequence[str], parts: Path | None = None
    ) -> list[list[str]]:
        return [
            sorted({word.lower() for word in re.findall(r"\b[A-Z]\w+", text)} - _words(question))
            for text, question in zip(texts, questions, strict=True)
        ]

    return extract


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
