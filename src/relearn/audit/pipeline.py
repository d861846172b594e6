"""The whole audit: every attack on every model, attempts and scores in a folder."""

import gc
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic_core import to_jsonable_python

import relearn
from relearn.audit.base import (
    ATTACKS,
    FACTS,
    Attack,
    AttackPrompt,
    Attempt,
    Beside,
    answered,
)
from relearn.audit.facts import Fact
from relearn.audit.model import AttackedModel
from relearn.audit.summary import innocent, summarize
from relearn.base.distributed import by_leader, leaders
from relearn.base.errors import UserError
from relearn.base.progress import progress_bar
from relearn.base.registry import did_you_mean
from relearn.base.storage import content_hash, read_json, read_jsonl, write_json, write_jsonl
from relearn.base.workspace import Workspace
from relearn.config import AuditConfig, Budget, Control, ModelConfig
from relearn.data.records import Record, spread, spread_over
from relearn.evaluation.judges.cross_leaks import HiddenFacts
from relearn.models.loading import load_prompt_format
from relearn.models.place import ModelPlace

Role = Control | Literal["unlearned"]
# Tokens that an answer may be longer than the longest private answer, and the longest there is.
_SLACK, _LONGEST = 8, 128
_BATCH = 128
# Prompts from which on those of several attacks are put to a model at once: a killed audit makes
# them again.
_TOGETHER = 1024


@dataclass(frozen=True)
class Suspect:
    """A model in the audit.

    Attributes:
        place: Where it is.
        role: `unlearned` models are judged; the others are the controls: `target` knew the facts,
            `never_saw` was trained alike without them, `base` was not trained.
    """

    place: ModelPlace
    role: Role


@dataclass(frozen=True)
class AuditSubject:
    """All that one audit looks at.

    Attributes:
        suspects: Models, no two of one name.
        forget: What is to be gone.
        retain: What should have stayed, best in questions that no training saw; may be empty.
        config: How the models are loaded and asked.
        earlier: What earlier requests wanted gone, each request's records apart.
    """

    suspects: Sequence[Suspect]
    forget: Sequence[Record]
    retain: Sequence[Record]
    config: ModelConfig
    earlier: Sequence[Sequence[Record]] = ()


def run_audit(
    subject: AuditSubject, output: Path, config: AuditConfig, seed: int = 0
) -> dict[str, Any]:
    """Attack every model; write `<attack>.jsonl` and `summary.json` to `output`.

    Several processes share the batches of prompts; the leader writes.

    A model's attempts are kept in `output/parts/<budget>` as soon as they are made, those of a
    few attacks together, so that a killed audit goes on with the next. The other files are those of
    the last budget.

    Args:
        subject: Models, facts and how the models are asked.
        output: Folder to write to.
        config: How hard to try, and by which attacks; the subject says which models.
        seed: Fixes what is random.

    Returns:
        The content of `summary.json`; see `relearn.audit.summary.summarize`.

    Raises:
        UserError: no attack has that name, or `output` holds something else.
    """
    chosen = chosen_attacks(config)
    most = FACTS[config.budget]
    requests = [*subject.earlier, subject.forget]
    records = {"forget": spread_over(requests, most), "retain": spread(subject.retain, most)}
    sets = {name: [*map(Fact, of_kind)] for name, of_kind in records.items()}
    chosen = {name: a for name, a in chosen.items() if sets[a.about]}
    parts = output / "parts" / config.budget

    def finish() -> dict[str, Any]:
        found = _attempts(subject, parts, chosen)
        for name, by_model in found.items():
            rows = [{"model": m} | asdict(a) for m, made in by_model.items() for a in made]
            write_jsonl(output / f"{name}.jsonl", rows)
        roles = {suspect.place.name: suspect.role for suspect in subject.suspects}
        figures = summarize(found, roles, sets["forget"])
        summary = figures | {
            "budget": config.budget,
            "seed": seed,
            "records": sum(map(len, requests)),
            "warnings": _warnings(subject, figures["models"]),
        }
        write_json(output / "summary.json", summary)  # last: where it stands, the audit is whole
        return summary

    with Workspace(output, "an audit", lambda names: "parts" in names):
        by_leader(lambda: _take_up(parts, _key(subject, sets, chosen, config.budget, seed)))
        _attack(subject, parts, sets, chosen, config.budget, seed)
        return by_leader(finish)


def _attack(
    subject: AuditSubject,
    parts: Path,
    sets: Mapping[str, Sequence[Fact]],
    attacks: Mapping[str, Attack],
    budget: Budget,
    seed: int,
) -> None:
    """Make every attempt that is not on disk yet."""
    longest = _longest(subject, [*sets["forget"], *sets["retain"]]) + _SLACK
    longest = min(_LONGEST, longest)
    steps, done = len(subject.suspects) * len(attacks), 0
    hidden = cache(partial(_hidden, subject))

    def load(suspect: Suspect) -> AttackedModel:
        return AttackedModel.load(suspect.place, subject.config, longest, _BATCH, seed)

    with progress_bar("auditing") as advance:
        for suspect in subject.suspects:
            name, model = suspect.place.name, None
            files = {attack: _part(parts, attack, suspect) for attack in attacks}
            missing = leaders([attack for attack, file in files.items() if not file.is_file()])
            asked = _Asked(files, hidden)
            for attack_name, attack in attacks.items():
                advance(done, steps, f"{attack_name} on {name}")
                if attack_name in missing:
                    model = model or load(suspect)
                    beside = Beside(sets["retain"], _controls(subject, load, suspect, model))
                    asked.take(attack_name, attack.make(model, sets[attack.about], budget, beside))
                    asked.put_to(model, _TOGETHER)
                done += 1
            if model:
                asked.put_to(model)
            model = None
            gc.collect()
        advance(done, steps, "")


def _attempts(
    subject: AuditSubject, parts: Path, attacks: Iterable[str]
) -> dict[str, dict[str, list[Attempt]]]:
    """Return all attempts by attack and model."""
    return {
        attack: {
            suspect.place.name: [*map(_attempt, read_jsonl(_part(parts, attack, suspect)))]
            for suspect in subject.suspects
        }
        for attack in attacks
    }


def _part(parts: Path, attack: str, suspect: Suspect) -> Path:
    return parts / f"{attack}.{suspect.place.name}.jsonl"


class _Asked:
    """Prompts of several attacks on one model, which are put to it together.

    A step of an answer reads all of the model's weights, for however many rows: a batch of many
    prompts takes less time than several of a few.
    """

    def __init__(self, files: Mapping[str, Path], hidden: Callable[[], HiddenFacts]) -> None:
        self._files = files
        self._hidden = hidden
        self._waiting: dict[str, Sequence[AttackPrompt]] = {}

    def take(self, attack: str, made: Sequence[AttackPrompt] | Sequence[Attempt]) -> None:
        """Keep an attack's prompts until they are put; write attempts at once."""
        prompts = [each for each in made if isinstance(each, AttackPrompt)]
        if prompts:
            self._waiting[attack] = prompts
        else:
            self._write(attack, made)

    def put_to(self, model: AttackedModel, least: int = 1) -> None:
        """Put what waits to the model if it is so many prompts, and write the attempts."""
        prompts = [prompt for some in self._waiting.values() for prompt in some]
        if len(prompts) < least:
            return
        attempts = iter(answered(model, prompts))
        for attack, some in self._waiting.items():
            made = list(islice(attempts, len(some)))
            if ATTACKS[attack].about == "forget":
                made = [self._searched(*each) for each in zip(some, made, strict=True)]
            self._write(attack, made)
        self._waiting.clear()

    def _searched(self, prompt: AttackPrompt, attempt: Attempt) -> Attempt:
        record = prompt.fact.record
        known = record.answer, prompt.text, prompt.given, prompt.begun
        told = self._hidden().told(attempt.answer, record.question, *known)
        return replace(attempt, cross_leaks=tuple(told))

    def _write(self, attack: str, made: Iterable[Any]) -> None:
        by_leader(lambda: write_jsonl(self._files[attack], map(asdict, made)))


def _hidden(subject: AuditSubject) -> HiddenFacts:
    """Return what all records hide, of which only some are attacked."""
    forget = [record for request in [*subject.earlier, subject.forget] for record in request]
    pairs = [[(r.question, r.answer) for r in records] for records in (forget, subject.retain)]
    return HiddenFacts(*pairs)


def _controls(
    subject: AuditSubject,
    load: Callable[[Suspect], AttackedModel],
    attacked: Suspect,
    model: AttackedModel,
) -> Callable[[str], AttackedModel | None]:
    """Return what loads a control by its role, each once, for one attack on one model."""
    by_role: dict[str, Suspect] = {suspect.role: suspect for suspect in subject.suspects}

    @cache
    def control(role: str) -> AttackedModel | None:
        found = innocent(by_role) if role == "control" else by_role.get(role)
        if found is attacked:
            return model
        return load(found) if found else None

    return control


def chosen_attacks(config: AuditConfig) -> dict[str, Attack]:
    """Return the attacks of a budget, or those of them that are named, with their options.

    Raises:
        UserError: no attack has that name, it is not made at this budget, or an option is wrong.
    """
    names, budget = config.attacks, config.budget
    for name in [*names, *config.options]:
        if budget not in ATTACKS.named(name).knobs:
            least = next(iter(ATTACKS[name].knobs))
            raise UserError(
                f"the attack {name!r} is not part of the {budget} budget.",
                f"Give --budget {least}.",
            )
    chosen = {
        name: attack
        for name, attack in ATTACKS.items()
        if budget in attack.knobs and (not names or name in names)
    }
    for name, values in config.options.items():
        if name not in chosen:
            raise UserError(
                f"audit.options.{name}: that attack is not made.",
                "Add it to audit.attacks, or leave its options out (--set audit.options={}).",
            )
        chosen[name] = chosen[name].with_options(name, budget, values)
    return chosen


def check_thresholds(thresholds: Mapping[str, float], attacks: Collection[str]) -> None:
    """Refuse thresholds of attacks that are not made.

    Raises:
        UserError: names the attack.
    """
    for name, value in thresholds.items():
        if name not in attacks and name != "worst":
            raise UserError(
                f"--fail-above {name}: that attack is not made.",
                did_you_mean(name, ["worst", *attacks]),
            )
        if not 0 <= value <= 1:
            raise UserError(f"--fail-above {name}={value:g} is no rate.", "Give 0 to 1.")


def crossed(summary: Mapping[str, Any], thresholds: Mapping[str, float]) -> list[str]:
    """Return in words which thresholds unlearned models cross.

    What counts is the share of facts told beyond the control, or told at all where there is none;
    of `collateral`, the share that was lost.
    """
    lines = []
    for model, figures in summary["models"].items():
        if summary["roles"][model] != "unlearned":
            continue
        each = {**figures, "worst": summary["worst"][model]}
        rates = {
            name: f["leak_rate"] if f["excess"] is None else f["excess"]
            for name, f in each.items()
            if "leak_rate" in f
        }
        if "collateral" in figures:
            rates["collateral"] = 1 - figures["collateral"]["kept_rate"]
        lines += [
            f"{model}: {name} {rates[name]:.3f} is above {most:g}"
            for name, most in thresholds.items()
            if rates.get(name) is not None and rates[name] > most
        ]
    return lines


def _key(
    subject: AuditSubject,
    sets: Mapping[str, Sequence[Fact]],
    attacks: Mapping[str, Attack],
    budget: Budget,
    seed: int,
) -> dict[str, str]:
    facts = [f.record.model_dump(mode="json") for s in sets.values() for f in s]
    request = content_hash(
        relearn.__version__, facts, budget, seed, _LONGEST,
        subject.config.model_dump(mode="json", exclude={"name"}),
    )  # fmt: skip
    models = {s.place.name: content_hash(s.place.fingerprint(), s.role) for s in subject.suspects}
    knobs = {
        name: content_hash(to_jsonable_python(attack.knobs[budget]))
        for name, attack in attacks.items()
    }
    return {
        "request": request,
        **{f"model {name}": value for name, value in models.items()},
        **{f"attack {name}": value for name, value in knobs.items()},
    }


def _take_up(parts: Path, key: dict[str, str]) -> None:
    """Make the folder of a budget, or go on in it; further models and attacks may join."""
    file = parts / "key.json"
    known = read_json(file) if file.is_file() else {}
    if any(known.get(name, value) != value for name, value in key.items()):
        raise UserError(
            f"{parts.parents[1]} holds an audit of other models, data or settings.",
            "Choose another --output, or delete the folder.",
        )
    write_json(file, known | key)


def _longest(subject: AuditSubject, facts: Sequence[Fact]) -> int:
    """Return how many tokens the longest reference has."""
    place = subject.suspects[0].place
    tokenizer = load_prompt_format(place.folder, subject.config).tokenizer
    return max((len(tokenizer(fact.record.answer).input_ids) for fact in facts), default=1)


def _warnings(subject: AuditSubject, models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what no attack shows but whoever releases the model has to know."""
    adapters = [s.place.name for s in subject.suspects if s.role == "unlearned" and s.place.adapter]
    if not adapters:
        return []
    target = next((s.place.name for s in subject.suspects if s.role == "target"), "")
    asked = models.get(target, {}).get("question", {}).get("leak_rate")
    back = "everything is back" if asked is None else f"{asked:.0%} of the facts are back"
    return [
        f"{', '.join(adapters)}: audited as merged. Released as an adapter beside the target "
        f"model, it can be switched off by whoever has it, and {back} without any attack: release "
        "what `relearn merge` writes."
    ]


def _attempt(row: dict[str, Any]) -> Attempt:
    of_old = {"cross_leaks": ()}
    tuples = {name: tuple((of_old | row)[name]) for name in ("identifiers", "cross_leaks")}
    return Attempt(**row | tuples)
