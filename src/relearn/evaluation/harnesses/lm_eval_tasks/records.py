"""What the tasks share: the records, and how answers are scored."""

from typing import Any

from datasets import Dataset

from relearn.data.sources import load_records
from relearn.evaluation.harnesses.answers import scores_of


def load(name: str, source: str, **others: Any) -> dict[str, Dataset]:
    """Return the records of a task as the harness takes them.

    Args:
        name: Of the set.
        source: Where its records are, as relearn's `--forget` takes it.
        **others: What `--metadata` says; under the set's name, another source.
    """
    found = load_records(str(others.get(name, source)), set_name=name)
    rows = [{"id": r.id, "question": str(r.question), "answer": r.answer} for r in found]
    return {"test": Dataset.from_list(rows)}


def score(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return the figures of one answer."""
    return scores_of(doc["question"], doc["answer"], results[0])
