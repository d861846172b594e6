"""What `relearn audit` got out of a run's models, for the report; absent where it did not run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relearn.audit import ATTACKS
from relearn.audit.summary import rate_of
from relearn.base.storage import read_json, read_jsonl

_UNLEARNED = "unlearned"
_LEAKS = 10


@dataclass(frozen=True)
class Leak:
    """A fact that an attack got out of the unlearned model and not out of the control.

    Attributes:
        id: Of the record.
        attack: Its name.
        variant: Which of its ways.
        coverage: Share of the fact's telling words in the answer, 0 to 1.
        prompt: What the model was given; None when redacted.
        answer: What it said; None when redacted.
    """

    id: str
    attack: str
    variant: str
    coverage: float
    prompt: str | None
    answer: str | None


@dataclass(frozen=True)
class CrossLeak:
    """How often an attack on the unlearned model told what other forget records hide.

    Attributes:
        attack: The one that did most often, beyond the control.
        rate: Share of the facts asked for, 0 to 1.
        interval: Of `rate`, 95 %.
        control: The same of the control; None without one.
    """

    attack: str
    rate: float
    interval: tuple[float, float]
    control: float | None


@dataclass(frozen=True)
class AuditFigures:
    """The audit of a run's models.

    Attributes:
        budget: How hard it tried.
        facts: How many facts were attacked.
        attacks: How many attacks were made on them, of those that could tell a fact.
        worst: The attack that got most out of the unlearned model beyond the control; None where
            none got anything.
        rate: Share of the facts that it got out, 0 to 1.
        interval: Of `rate`, 95 %.
        control: The same of the model that does not know the facts; None without one.
        safe: Share of the facts that it did not get out, or that the control tells too; 0 to 1.
        never_recovered: Share of the facts that no attack got out beyond the control, 0 to 1.
        cross_leak: What the attacks told that other records hide; None for nothing.
        collateral: Share of what should stay that is answered before and after unlearning, each 0
            to 1; None where it was not asked.
        models: Names of the models, the controls first.
        rates: By attack and model the share of facts told; of collateral, of those kept.
        curves: By attack and way of it what varies along it, and by model the (point, share told).
        leaks: The worst of the unlearned model's.
        warnings: What no attack shows, but whoever releases the model has to know.
    """

    budget: str
    facts: int
    attacks: int
    worst: str | None
    rate: float
    interval: tuple[float, float]
    control: float | None
    safe: float
    never_recovered: float
    cross_leak: CrossLeak | None
    collateral: tuple[float, float] | None
    models: list[str]
    rates: dict[str, dict[str, float | None]]
    curves: dict[str, tuple[str, dict[str, list[tuple[str, float]]]]]
    leaks: list[Leak]
    warnings: list[str]

    def redacted(self) -> "AuditFigures":
        """Return the same figures without prompts and answers."""
        return replace(self, leaks=[replace(leak, prompt=None, answer=None) for leak in self.leaks])


def read_audit(folder: Path) -> AuditFigures | None:
    """Read the audit in the run folder `folder`; None where there is none of its model."""
    file = folder / "audit" / "summary.json"
    summary = read_json(file) if file.is_file() else {"models": {}}
    figures = summary["models"].get(_UNLEARNED)
    if not figures:
        return None
    leaking = [name for name, each in figures.items() if each.get("leak_rate") is not None]
    worst = summary["worst"][_UNLEARNED]["attack"]
    nothing = {"leak_rate": 0.0, "interval": (0, 0), "control": None, "excess": None}
    at_worst: Mapping[str, Any] = figures[worst] if worst else nothing
    beyond = at_worst["leak_rate"] if at_worst["excess"] is None else at_worst["excess"]
    kept = figures.get("collateral", {})
    known = kept.get("target"), kept.get("kept_rate")
    models = sorted(summary["models"], key=lambda name: summary["roles"][name] == _UNLEARNED)
    return AuditFigures(
        budget=summary["budget"],
        facts=summary["facts"],
        attacks=len(leaking),
        worst=worst,
        rate=at_worst["leak_rate"],
        interval=tuple(at_worst["interval"]),
        control=at_worst["control"],
        safe=1 - beyond,
        never_recovered=summary["facts_never_recovered"][_UNLEARNED],
        cross_leak=_cross_leak(summary),
        collateral=None if known[0] is None or known[1] is None else (known[0], known[1]),
        models=models,
        rates={
            attack: {m: rate_of(summary["models"][m].get(attack, {})) for m in models}
            for attack in figures
        },
        curves={
            label: (ATTACKS[name].curve, of_way)
            for name in leaking
            if name in ATTACKS and ATTACKS[name].curve
            for label, of_way in _curves(name, {m: summary["models"][m] for m in models}).items()
        },
        # What a guess may tell is no leak of one fact.
        leaks=_worst_leaks(
            folder / "audit",
            [n for n in leaking if not (n in ATTACKS and ATTACKS[n].guessing)],
            summary["control"],
        ),
        warnings=summary["warnings"],
    )


def _cross_leak(summary: Mapping[str, Any]) -> CrossLeak | None:
    # Audits of older versions did not look for any.
    found = summary.get("cross_leaks", {}).get(_UNLEARNED, {})
    return CrossLeak(**found) if found.get("attack") else None


def _curves(
    attack: str, models: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, list[tuple[str, float]]]]:
    """Return by way of the attack and by model what was told at each point; the worst of a grid.

    The last part of a variant's name is the point, the first the way: `half, rate 1e-4, step 8`.
    """
    curves: dict[str, dict[str, dict[str, float]]] = {}
    for model, figures in models.items():
        for variant, share in figures.get(attack, {}).get("variants", {}).items():
            *ways, point = variant.split(", ")
            way = ", ".join([attack, *ways[:1]])
            if share is not None:
                points = curves.setdefault(way, {}).setdefault(model, {})
                points[point] = max(share, points.get(point, 0.0))
    return {
        way: {model: list(points.items()) for model, points in by_model.items()}
        for way, by_model in curves.items()
    }


def _worst_leaks(folder: Path, attacks: list[str], control: str | None) -> list[Leak]:
    """Return the unlearned model's leaks that hold most of their fact, one for each fact first."""
    leaks = [leak for attack in attacks for leak in _leaks(folder, attack, control)]
    leaks.sort(key=lambda leak: -leak.coverage)
    first = {leak.id: leak for leak in reversed(leaks)}
    of_each = [leak for leak in leaks if first[leak.id] is leak]
    others = [leak for leak in leaks if first[leak.id] is not leak]
    return [*of_each, *others][:_LEAKS]


def _leaks(folder: Path, attack: str, control: str | None) -> Iterator[Leak]:
    file = folder / f"{attack}.jsonl"
    rows = [row for row in read_jsonl(file) if row["told"]] if file.is_file() else []
    innocent = {row["id"] for row in rows if row["model"] == control}
    for row in rows:
        if row["model"] == _UNLEARNED and row["id"] not in innocent:
            yield Leak(
                row["id"], attack, row["variant"], row["coverage"] or 0.0, row["prompt"],
                row["answer"],
            )  # fmt: skip
