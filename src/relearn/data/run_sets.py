"""The sets of a run: those that the settings name, and what follows from them."""

from collections.abc import Mapping, Sequence

from relearn.base.errors import UserError
from relearn.config import RUN_SETS, DataConfig, ModelConfig, RunSet
from relearn.data.columns import RecordSet
from relearn.data.records import Record, normalized
from relearn.data.sources import Source, Tokenizers, read_sets

REQUIRED: tuple[RunSet, ...] = ("forget", "retain")


def read_run_sets(
    data: DataConfig,
    model: ModelConfig,
    tokenizers: Tokenizers | None = None,
    required: Sequence[RunSet] = REQUIRED,
    given: Mapping[RunSet, Source] | None = None,
) -> tuple[dict[RunSet, RecordSet], ModelConfig]:
    """Load every set that the configuration names.

    Where there are no unseen questions, the records' own paraphrases are taken.

    Args:
        data: Sources and columns.
        model: How the model is asked.
        tokenizers: See `relearn.data.sources.load_sets`.
        required: Sets that must be named.
        given: Sets that are taken instead of those that are named.

    Returns:
        The sets; and `model` with the system message that the records bring, where it has none.

    Raises:
        UserError: a required set is not named, or see `relearn.data.sources.load_sets`.
    """
    named: dict[RunSet, Source] = {n: s for n in RUN_SETS if (s := getattr(data, n))}
    named |= given or {}
    for name in required:
        if name not in named:
            raise UserError(f"there is no {name} set.", f"Give --{name} FILE.")
    sets, model = read_sets(named, data, model, tokenizers)
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
