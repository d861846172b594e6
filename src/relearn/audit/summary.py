"""From attempts to rates: what each attack got out, beside what the controls give away."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from relearn.audit.base import ATTACKS, Attempt
from relearn.audit.facts import Fact
from relearn.evaluation.significance import wilson_interval

# Which control shows what a model says that does not know the facts: the first there is.
INNOCENT: tuple[Literal["never_saw", "base"], ...] = ("never_saw", "base")

Found = Mapping[str, Mapping[str, Sequence[Attempt]]]


def summarize(found: Found, roles: Mapping[str, str], facts: Sequence[Fact]) -> dict[str, Any]:
    """Return the figures of an audit.

    Args:
        found: Attempts by attack and model.
        roles: Of the models by name; see `relearn.audit.pipeline.Suspect`.
        facts: What was attacked.

    Returns:
        models: By model and attack `leak_rate` (share of facts told in any attempt, 0 to 1; of
            what should stay `kept_rate`), `interval` (95 %, Wilson), `facts`, `unmeasured`,
            `control` (the same rate of a model that does not know the facts), `excess` (share of
            facts told here and not by that control; where a guess may tell one, what the rate is
            above the control's), `target` (rate of the target), `coverage`, `identifiers`
            recovered, `variants` (rate of each way by itself), and what the attack measures beside.
        worst: By model the attack with the highest `excess`, and its figures; without a name
            where no attack got anything out.
        facts_never_recovered: By model the share of facts that no attack got out beyond the
            control, 0 to 1.
        control: Name of the control, None where there is none.
        roles: As given.
    """
    by_role = {role: name for name, role in roles.items()}
    control = next((by_role[role] for role in INNOCENT if role in by_role), None)
    target = by_role.get("target")
    told = {
        attack: {model: _told(attempts) for model, attempts in by_model.items()}
        for attack, by_model in found.items()
    }
    models: dict[str, dict[str, Any]] = {name: {} for name in roles}
    recovered: dict[str, set[str]] = {name: set() for name in roles}
    for attack, by_model in found.items():
        innocent = told[attack].get(control or "", {})
        about, guessing = ATTACKS[attack].about, ATTACKS[attack].guessing
        for model, attempts in by_model.items():
            known = told[attack][model]
            beyond = {id_ for id_, leaks in known.items() if leaks and not innocent.get(id_)}
            if about == "forget" and not guessing:
                recovered[model] |= beyond
            models[model][attack] = {
                "about": about,
                **_rate(list(known.values()), about),
                "unmeasured": len({a.id for a in attempts if a.prompt} - known.keys()),
                "excess": _excess(known, innocent, guessing) if known and control else None,
                "control": _share(list(innocent.values())) if control else None,
                "target": _share(list(told[attack][target].values())) if target else None,
                **_details(attack, attempts, by_model.get(control or "")),
            }
    return {
        "models": models,
        "worst": {name: _worst(figures) for name, figures in models.items()},
        "facts_never_recovered": {
            name: 1 - len(ids) / len(facts) if facts else None for name, ids in recovered.items()
        },
        "facts": len(facts),
        "control": control,
        "roles": dict(roles),
    }


def _told(attempts: Sequence[Attempt]) -> dict[str, bool]:
    """Return by fact whether any attempt told it; facts that nothing could measure are left out."""
    told: dict[str, bool] = {}
    for attempt in attempts:
        if attempt.told is not None:
            told[attempt.id] = told.get(attempt.id, False) or attempt.told
    return told


def _excess(told: Mapping[str, bool], innocent: Mapping[str, bool], guessing: bool) -> float:
    """Return the share of facts that count as told, beyond what the control tells."""
    if guessing:
        return max(0.0, (_share([*told.values()]) or 0) - (_share([*innocent.values()]) or 0))
    return sum(leaks and not innocent.get(id_) for id_, leaks in told.items()) / len(told)


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _rate(values: Sequence[bool], about: str) -> dict[str, Any]:
    rate = _share(values)
    interval = None if rate is None else list(wilson_interval(rate, len(values)))
    name = "leak_rate" if about == "forget" else "kept_rate"
    return {name: rate, "interval": interval, "facts": len(values)}


def _details(
    attack: str, attempts: Sequence[Attempt], innocent: Sequence[Attempt] | None
) -> dict[str, Any]:
    variants: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        variants[attempt.variant].append(attempt)
    coverage = [a.coverage for a in attempts if a.coverage is not None]
    details: dict[str, Any] = {
        "coverage": sum(coverage) / len(coverage) if coverage else None,
        "identifiers": len({(a.id, each) for a in attempts for each in a.identifiers}),
        "variants": {
            variant: _share(list(_told(some).values())) for variant, some in variants.items()
        },
    }
    if (own := ATTACKS[attack].figures) is not None:
        return details | dict(own(attempts, innocent))
    names = {name for attempt in attempts for name in attempt.figures}
    for name in sorted(names):
        values = [a.figures[name] for a in attempts if name in a.figures]
        details[name] = sum(values) / len(values)
    return details


def _worst(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attack that got most out beyond the control, or most at all without one."""
    leaks = {name: f for name, f in figures.items() if f.get("leak_rate") is not None}
    if not leaks:
        return {"attack": None, "leak_rate": None, "excess": None}
    name = max(leaks, key=lambda n: (leaks[n]["excess"] or 0.0, leaks[n]["leak_rate"]))
    reached = {key: leaks[name][key] for key in ("leak_rate", "excess", "interval")}
    return {"attack": name if leaks[name]["leak_rate"] else None} | reached
