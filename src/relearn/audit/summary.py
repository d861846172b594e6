"""From attempts to rates: what each attack got out, beside what the controls give away."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from relearn.audit.base import ATTACKS, Attempt
from relearn.audit.facts import Fact
from relearn.evaluation.significance import wilson_interval

Found = Mapping[str, Mapping[str, Sequence[Attempt]]]
T = TypeVar("T")


def innocent(by_role: Mapping[str, T]) -> T | None:
    """Return the control that shows what a model says that does not know the facts, if any."""
    return by_role.get("never_saw") or by_role.get("base")


def rate_of(figures: Mapping[str, Any]) -> float | None:
    """Return the share of facts told, or kept, of an attack's figures; None if not measured."""
    rate: float | None = figures.get("leak_rate", figures.get("kept_rate"))
    return rate


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
            where no attack got anything out beyond the control.
        facts_never_recovered: By model the share of facts that no attack got out beyond the
            control, 0 to 1.
        cross_leaks: By model the attack that most often, beyond the control, told what other forget
            records hide: `attack` (None where none did), `rate` (share of the facts asked for, 0 to
            1), its `interval`, `control`; see `relearn.evaluation.judges.cross_leaks`.
        control: Name of the control, None where there is none.
        roles: As given.
    """
    by_role = {role: name for name, role in roles.items()}
    control = innocent(by_role)
    target = by_role.get("target")
    told = {
        attack: {model: _told(attempts) for model, attempts in by_model.items()}
        for attack, by_model in found.items()
    }
    models: dict[str, dict[str, Any]] = {name: {} for name in roles}
    recovered: dict[str, set[str]] = {name: set() for name in roles}
    for attack, by_model in found.items():
        of_control = told[attack].get(control or "", {})
        about, guessing = ATTACKS[attack].about, ATTACKS[attack].guessing
        for model, attempts in by_model.items():
            known = told[attack][model]
            beyond = {id_ for id_, leaks in known.items() if leaks and not of_control.get(id_)}
            excess = _share([id_ in beyond for id_ in known])
            if guessing:
                excess = _rise(known, of_control)
            elif about == "forget":
                recovered[model] |= beyond
            models[model][attack] = {
                "about": about,
                **_rate(list(known.values()), about),
                "unmeasured": len({a.id for a in attempts if a.prompt} - known.keys()),
                "excess": excess if control else None,
                "control": _share(list(of_control.values())) if control else None,
                "target": _share(list(told[attack][target].values())) if target else None,
                **_details(attack, attempts, by_model.get(control or "")),
            }
    return {
        "models": models,
        "worst": {name: _worst(figures) for name, figures in models.items()},
        "facts_never_recovered": {
            name: 1 - len(ids) / len(facts) if facts else None for name, ids in recovered.items()
        },
        "cross_leaks": {name: _worst_cross_leak(found, name, control) for name in roles},
        "facts": len(facts),
        "control": control,
        "roles": dict(roles),
    }


def _worst_cross_leak(found: Found, model: str, control: str | None) -> dict[str, Any]:
    """Return the attack that told most of what other records hide, beyond the control."""
    none: dict[str, Any] = {"attack": None, "rate": 0.0, "interval": None, "control": None}
    leaks = []
    for attack, by_model in found.items():
        told = _cross_leaks(by_model[model])
        if rate := _share(told):
            interval = list(wilson_interval(rate, len(told)))
            of_control = _share(_cross_leaks(by_model.get(control or "", ())))
            leaks.append(none | {"attack": attack, "rate": rate, "interval": interval,
                                 "control": of_control})  # fmt: skip
    return max(leaks, key=lambda leak: leak["rate"] - (leak["control"] or 0.0), default=none)


def _cross_leaks(attempts: Sequence[Attempt]) -> list[bool]:
    """Return for each record whether any attempt to get its fact told what another one hides."""
    return list(_ever((attempt.id, bool(attempt.cross_leaks)) for attempt in attempts).values())


def _told(attempts: Sequence[Attempt]) -> dict[str, bool]:
    """Return by fact whether any attempt told it; facts that nothing could measure are left out."""
    return _ever((attempt.id, attempt.told) for attempt in attempts if attempt.told is not None)


def _ever(seen: Iterable[tuple[str, bool]]) -> dict[str, bool]:
    """Return by id whether it was ever so."""
    ever: dict[str, bool] = {}
    for id_, is_so in seen:
        ever[id_] = ever.get(id_, False) or is_so
    return ever


def _rise(told: Mapping[str, bool], of_control: Mapping[str, bool]) -> float | None:
    """Return by how much the share of facts told is above the control's, 0 and up."""
    rate = _share(list(told.values()))
    return None if rate is None else max(0.0, rate - (_share(list(of_control.values())) or 0.0))


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _rate(values: Sequence[bool], about: str) -> dict[str, Any]:
    rate = _share(values)
    interval = None if rate is None else list(wilson_interval(rate, len(values)))
    name = "leak_rate" if about == "forget" else "kept_rate"
    return {name: rate, "interval": interval, "facts": len(values)}


def _details(
    attack: str, attempts: Sequence[Attempt], of_control: Sequence[Attempt] | None
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
        return details | dict(own(attempts, of_control))
    names = {name for attempt in attempts for name in attempt.figures}
    for name in sorted(names):
        values = [a.figures[name] for a in attempts if name in a.figures]
        details[name] = sum(values) / len(values)
    return details


def _worst(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attack that got most out beyond the control, or most at all without one."""
    leaks = {
        name: f
        for name, f in figures.items()
        if f.get("leak_rate") is not None and not (ATTACKS[name].guessing and f["excess"] is None)
    }
    if not leaks:
        return {"attack": None, "leak_rate": None, "excess": None}
    name = max(leaks, key=lambda n: (leaks[n]["excess"] or 0.0, leaks[n]["leak_rate"]))
    reached = {key: leaks[name][key] for key in ("leak_rate", "excess", "interval")}
    beyond = reached["leak_rate"] if reached["excess"] is None else reached["excess"]
    return {"attack": name if beyond else None} | reached
