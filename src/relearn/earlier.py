"""Deletion requests in a row: what a further run takes from the one before, which it only reads."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from relearn.base.errors import UserError
from relearn.base.storage import content_hash, read_json, read_jsonl
from relearn.config import NEVER_SAW, UNLEARNED, RunConfig, TrainingConfig, load_config
from relearn.data.new_answers import AUGMENTED, NewAnswer, read_new_answers
from relearn.data.records import Record
from relearn.data.requests import EARLIER, numbered, request_of
from relearn.data.sources import load_records
from relearn.run_folder import (
    adapter_folder,
    check_finished,
    check_private_data,
    read_manifest,
    target_folder,
)


class EarlierRun:
    """A finished run that another goes on from.

    Args:
        path: Its folder.

    Attributes:
        sequence: See `sequence`.

    Raises:
        UserError: it is no finished run.
    """

    def __init__(self, path: Path) -> None:
        check_finished(path)
        check_private_data(path)
        self.path = path
        self._config = load_config(path / "config.yaml")
        self.sequence: list[dict[str, Any]] = read_json(path / "summary.json").get("sequence", [])
        if not self.sequence:
            raise UserError(
                f"{path} was made by an older relearn.",
                "Repeat its `relearn run`: that only writes its summary again.",
            )

    @property
    def number(self) -> int:
        """Which deletion request it was, from 1."""
        return len(self.sequence)

    @property
    def model(self) -> Mapping[str, Any]:
        """Its manifest's entry about the model: where the target is, and hashes.

        Without a retain model of the user's own, which may know what is to be forgotten next.
        """
        entry: dict[str, Any] = read_manifest(self.path)["model"]
        if self._config.evaluation.retain_model not in (None, NEVER_SAW):
            entry.pop(NEVER_SAW, None)
        return entry

    def records(self) -> list[Record]:
        """Return what it and the runs before it were to forget, their ids numbered."""
        before, own = (
            load_records(str(file), None, name)
            if (file := self.path / "data" / f"{name}.jsonl").is_file()
            else []
            for name in (EARLIER, "forget")
        )
        own = [r.model_copy(update={"id": numbered(self.number, r.id)}) for r in own]
        return [*before, *own]

    def answers(self, stage: str) -> list[NewAnswer]:
        """Return the new answers of a stage of it and of the runs before it, ids numbered.

        Generic rows are no request's and left out.
        """
        own = [
            row.model_copy(update={"source_id": numbered(self.number, row.source_id)})
            for row in read_new_answers(self.path / stage / AUGMENTED)
            if row.kind != "generic"
        ]
        return [*read_new_answers(earlier_answers(self.path, stage)), *own]

    def trained(self, name: str) -> Path:
        """Return the folder of what it trained: an adapter, or a whole model.

        Raises:
            UserError: it has none of that name.
        """
        return adapter_folder(self.path, name)

    def fingerprint(self) -> str:
        """Return a hash of the weights of its unlearned model."""
        return content_hash(self.trained(UNLEARNED))

    def check(self, config: RunConfig, output: Path) -> None:
        """Refuse a further run that is not about the same model.

        Raises:
            UserError: it works in this run's folder, its model is another or asked otherwise, or
                the target model is gone or has changed.
        """
        if output.resolve() == self.path.resolve():
            raise UserError(f"after: {self.path} is the --output folder too.", "Choose another.")
        if config.memorize:
            raise UserError(
                f"memorize: the target model is that of {self.path}.", "Leave memorize out."
            )
        for field, value in config.model:
            if value != getattr(self._config.model, field):
                raise UserError(
                    f"model.{field} is not that of {self.path}, whose model goes on forgetting.",
                    "Leave it out, or start without --after.",
                )
        if content_hash(target_folder(self.path)) != self.model["target_sha256"]:
            raise UserError(
                f"the target model of {self.path} has changed since.",
                "Restore it, or start without --after.",
            )

    def check_training(self, name: str, training: TrainingConfig) -> None:
        """Refuse a training that can't go on where this run's of the same name ended.

        Raises:
            UserError: there was none, or not one of the same kind; or the settings need an adapter
                that starts at zero.
        """
        self.trained(name)
        known = self._config.trainings[name]
        for field in ("method", "lora"):
            if getattr(training, field) != getattr(known, field):
                raise UserError(
                    f"training.{field} is not that of {self.path}, whose training goes on.",
                    "Leave it out.",
                )
        for field, wrong in (
            ("wrapper", training.wrapper),
            ("lora.scale", training.lora.scale - 1),
        ):
            if wrong:
                raise UserError(
                    f"training.{field} needs a training that starts from the target model.",
                    "Leave it out, or start without --after.",
                )


def sequence(run: Path, before: EarlierRun | None) -> list[dict[str, Any]]:
    """Return how each request so far came out, one entry a run, this one the last.

    An entry holds the `run`'s name, the number of `records` of its request, and of its unlearned
    model the `kfr` of each request so far, in order, and the `krr` of the retain set: 0 to 1, None
    where nothing was measured.

    Args:
        run: Folder of an evaluated run.
        before: The run that it goes on from.
    """
    number = before.number + 1 if before else 1
    scores: dict[int, list[float]] = defaultdict(list)
    folder = run / "evaluation" / UNLEARNED
    for row in read_jsonl(folder / "rows.jsonl"):
        if row["set"] in ("forget", EARLIER) and row.get("forgotten") is not None:
            request = number if row["set"] == "forget" else request_of(row["id"])
            scores[request].append(row["forgotten"])
    entry = {
        "run": run.resolve().name,
        "records": len(read_jsonl(run / "data" / "forget.jsonl")),
        "kfr": [mean(of) if (of := scores[i]) else None for i in range(1, number + 1)],
        "krr": read_json(folder / "metrics.json").get("retain/krr"),
    }
    return [*(before.sequence if before else []), entry]


def earlier_answers(run: Path, stage: str) -> Path:
    """Return the file with the new answers of all requests before a run's own."""
    return run / "earlier" / f"{stage}.jsonl"
