"""The sets of a run: those that the settings name, and what follows from them."""

from collections.abc import Sequence

from relearn.base.errors import UserError
from relearn.config import RUN_SETS, DataConfig, ModelConfig, RunSet
from relearn.data.columns import RecordSet
from relearn.data.records import Record, normalized
from relearn.data.sources import read_sets

REQUIRED: tuple[RunSet, ...] = ("forget", "retain")


def read_run_sets(
    data: DataConfig, model: ModelConfig, required: Sequence[RunSet] = REQUIRED
) -> tuple[dict[RunSet, RecordSet], ModelConfig]:
    """Load every set that the configuration names.

    Where there are no unseen questions, the records' own paraphrases are taken.

    Args:
        data: Sources and columns.
        model: How the model is asked.
        required: Sets that must be named.

    Returns:
        The sets; and `model` with the system message that the records bring, where it has none.

    Raises:
        UserError: a required set is not named, or see `relearn.data.sources.load_sets`.
    """
    sources: dict[RunSet, str | None] = {name: getattr(data, name) for name in RUN_SETS}
    for name in required:
        if not sources[name]:
            raise UserError(f"there is no {name} set.", f"Give --{name} FILE.")
    named = {name: source for name, source in sources.items() if source}
    sets, model = read_sets(named, data, model)
    pairs: tuple[tuple[RunSet, RunSet], ...] = (
        ("forget", "forget_unseen"), ("retain", "retain_unseen"),
    )  # fmt: skip
    for name, unseen in pairs:
        if name in sets and unseen not in sets and (found := _paraphrased(sets[name].records)):
            sets[unseen] = RecordSet(found)
    return sets, model


def _paraphrased(records: Sequence[Record]) -> list[Record]:
    """Return the records' own paraphrases as questions, those that none of the records asks."""
    asked = {normalized(record.question) for record in records}
    return [
        record.model_copy(
            update={"id": f"{record.id}-paraphrase-{i}", "question": text, "paraphrases": ()}
        )
        for record in records
        for i, text in enumerate(record.paraphrases, 1)
        if normalized(text) not in asked
    ]
