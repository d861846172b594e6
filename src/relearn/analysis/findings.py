"""Plain sentences that follow from the figures by stated rules, and the paper's three claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from relearn.analysis.inputs import ModelSource
from relearn.analysis.summary import Figures

Verdict = Literal["seen", "partly seen", "not seen", "not measured"]

SEESAW = 0.5
SEESAW_MARGIN = 0.1
KEPT = 0.5
MEMORY_FACTOR = 1.5
WEAKENED = 0.1


@dataclass(frozen=True)
class Claim:
    """One of the three mechanistic claims of arXiv 2502.11190, section 5.2.

    Attributes:
        name: Short name.
        text: The claim.
        verdict: Whether the figures show it, by the rule.
        evidence: The figures.
        rule: How the verdict follows.
    """

    name: str
    text: str
    verdict: Verdict
    evidence: str
    rule: str


def claims(figures: Mapping[str, Figures], models: Sequence[ModelSource]) -> list[Claim]:
    """Return the three claims with their verdicts.

    Each sets the model that learned new answers against those made by reverse optimization; where
    either is missing, nothing is concluded.
    """
    target = models[0].name
    learned = next((m.name for m in models if m.reverse is False), None)
    reverse = [m.name for m in models if m.reverse]
    return [
        _seesaw_claim(figures, learned, reverse),
        _memory_claim(figures, target, learned, reverse),
        _circuit_claim(figures, target, learned, reverse),
    ]


@dataclass(frozen=True)
class Conclusion:
    """A sentence about one model, which says nothing but what its figures say."""

    model: str
    text: str


def findings(figures: Mapping[str, Figures], models: Sequence[ModelSource]) -> list[Conclusion]:
    """Return what was measured in plain sentences, model by model, the target first."""
    target = models[0].name
    before = _get(figures, target, "distribution", "forget", "private_probability")
    found = [
        Conclusion(
            target,
            "All models are given the true answer up to the word that is asked for. There "
            f"{target} gives the private token a probability of {_share(before)}.",
        )
    ]
    for model in models[1:]:
        said = (
            _about_distribution(figures, model, target),
            _about_memory(figures, model.name, target),
            _about_circuit(figures, model.name, target),
            _about_patching(figures, model.name),
            _about_language(figures, model.name),
        )
        found += [Conclusion(model.name, text) for text in said if text]
    return found


def _about_distribution(
    figures: Mapping[str, Figures], model: ModelSource, target: str
) -> str | None:
    name = model.name
    after = _get(figures, name, "distribution", "forget", "private_probability")
    before = _get(figures, target, "distribution", "forget", "private_probability")
    astray = _get(figures, name, "distribution", "forget", "seesaw")
    if after is None or before is None:
        return None
    start = f"{name} gives the private token {_share(after)}"
    if model.reverse is None:  # nothing was unlearned
        return f"{start}."
    if astray is None:
        return f"{start}: it lost nothing to speak of."
    sentence = (
        f"{start}; {_share(astray)} of what the token lost went to tokens that fit neither the "
        "sentence nor the subject."
    )
    if after >= KEPT * before:
        sentence += f" So {name} still knows most of it once the true answer is begun."
    return sentence


def _about_memory(figures: Mapping[str, Figures], name: str, target: str) -> str | None:
    ours = _get(figures, name, "lens", "forget")
    theirs = _get(figures, target, "lens", "forget")
    if not ours or not theirs:
        return None
    share, before = ours["decodable_share"], theirs["decodable_share"]
    sentence = (
        f"Inside {name}, {_share(share)} of the private tokens come up among the ten likeliest "
        f"at some layer ({_share(before)} in {target})"
    )
    depth, depth_before = ours["decodable_depth_median"], theirs["decodable_depth_median"]
    if depth is None or depth_before is None:
        return f"{sentence}."
    return (
        f"{sentence}, at {_share(depth)} of the depth in the median ({_share(depth_before)} in "
        f"{target})."
    )


def _about_circuit(figures: Mapping[str, Figures], name: str, target: str) -> str | None:
    shared = _get(figures, name, "circuit", "jaccard")
    if shared is None:
        return None
    return (
        f"Of the paths that carry the private words in {name} or in {target}, {_share(shared)} do "
        "so in both."
    )


def _about_patching(figures: Mapping[str, Figures], name: str) -> str | None:
    patch = figures[name].get("patching")
    if not patch or (patch["best_recovery"] or 0) <= 0:
        return None
    first, last = patch["best_layers"]
    kind = {"attention": "attention", "mlp": "MLPs"}[patch["best_kind"]]
    return (
        f"Putting the {kind} of layers {first} to {last} back as they were before brings back "
        f"{_share(patch['best_recovery'])} of the log-probability that the private tokens lack "
        f"in {name}, more than any other group of layers."
    )


def _about_language(figures: Mapping[str, Figures], name: str) -> str | None:
    sets = figures[name].get("language") or {}
    shares = [f"{_share(v['collapsed'])} of its answers to {k} questions" for k, v in sets.items()]
    return f"{name} collapses into loops or repetition in {' and '.join(shares)}." if sets else None


def _seesaw_claim(
    figures: Mapping[str, Figures], learned: str | None, reverse: Sequence[str]
) -> Claim:
    values = {
        name: _get(figures, name, "distribution", "forget", "seesaw")
        for name in [*reverse, *([learned] if learned else [])]
    }
    known = {name: value for name, value in values.items() if value is not None}
    measured = learned in known and any(name in known for name in reverse)
    rivals = [known[name] for name in reverse if name in known]
    beyond = [
        value for value in rivals if measured and value >= known[str(learned)] + SEESAW_MARGIN
    ]
    most = [value for value in beyond if value >= SEESAW]
    verdict = _verdict(measured, len(most), len(rivals))
    if verdict == "not seen" and beyond:
        verdict = "partly seen"  # the direction, without the size
    return Claim(
        "see-saw",
        "Methods that push the private answer down send its probability to random tokens, like a "
        "see-saw; learning new answers replaces it in an orderly way.",
        verdict,
        _listed("share of the lost probability that went astray", known),
        f"Seen for a method if at least {SEESAW} of what the private tokens lost went to tokens "
        f"that fit neither sentence nor subject, and at least {SEESAW_MARGIN} more than with "
        "learning; partly, if only the latter.",
    )


def _memory_claim(
    figures: Mapping[str, Figures], target: str, learned: str | None, reverse: Sequence[str]
) -> Claim:
    before = _get(figures, target, "lens", "forget", "kl_to_output_by_layer")
    shifts = {
        name: shift
        for name in [*reverse, *([learned] if learned else [])]
        if (
            shift := curve_shift(
                before, _get(figures, name, "lens", "forget", "kl_to_output_by_layer")
            )
        )
        is not None
    }
    hits = [
        name
        for name in reverse
        if learned in shifts and name in shifts and shifts[name] >= MEMORY_FACTOR * shifts[learned]
    ]
    measured = learned in shifts and any(name in shifts for name in reverse)
    return Claim(
        "memory",
        "Methods that push the private answer down break the gradual way in which the layers "
        "arrive at a word; learning new answers leaves it as it was.",
        _verdict(measured, len(hits), sum(name in shifts for name in reverse)),
        _listed("shift of the layers' path to the output, relative to the target's", shifts),
        "The path is KL(output || layer) by layer, with the logit lens; its shift is the mean "
        "distance from the target's path, over the target's mean. Seen for a method if its shift "
        f"is at least {MEMORY_FACTOR} times that of learning.",
    )


def _circuit_claim(
    figures: Mapping[str, Figures], target: str, learned: str | None, reverse: Sequence[str]
) -> Claim:
    falls = {
        name: fall
        for name in [*reverse, *([learned] if learned else [])]
        if (fall := _fall(figures, target, name)) is not None
    }
    measured = learned in falls and any(name in falls for name in reverse)
    weakened = measured and falls[str(learned)] >= WEAKENED
    rivals = [name for name in reverse if name in falls]
    hits = [name for name in rivals if weakened and falls[name] < falls[str(learned)]]
    return Claim(
        "circuits",
        "Learning new answers weakens the paths that tie the answer to its subject; methods that "
        "push down keep them, and strengthen those tied to the pattern of the question.",
        _verdict(measured, len(hits), len(rivals)),
        _listed("fall of the attention to the subject, relative to the target's", falls),
        f"Seen if attention from the private words to the subject's tokens falls by at least "
        f"{WEAKENED:.0%} with learning, and by less with the method it is set against.",
    )


def curve_shift(before: Sequence[float] | None, after: Sequence[float] | None) -> float | None:
    """Return the mean distance of two curves over the mean of the first, 0 up.

    The first point, the embedding, is left out: nothing has been computed there.
    """
    before, after = (before or [])[1:], (after or [])[1:]
    if not before or not after or len(before) != len(after) or not sum(before):
        return None
    return sum(abs(a - b) for a, b in zip(after, before, strict=True)) / sum(before)


def _fall(figures: Mapping[str, Figures], target: str, name: str) -> float | None:
    before = _get(figures, target, "attention", "forget")
    after = _get(figures, name, "attention", "forget")
    return None if not before or after is None else 1 - after / before


def _verdict(measured: bool, hits: int, rivals: int) -> Verdict:
    if not measured:
        return "not measured"
    if hits == rivals:
        return "seen"
    return "partly seen" if hits else "not seen"


def _listed(what: str, values: Mapping[str, float]) -> str:
    if not values:
        return "No figures."
    return (
        f"{what[0].upper()}{what[1:]}: "
        + ", ".join(f"{name} {value:.2f}" for name, value in values.items())
        + "."
    )


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.0%}"


def _get(figures: Mapping[str, Any], *path: str) -> Any:
    value: Any = figures
    for step in path:
        if not isinstance(value, Mapping) or value.get(step) is None:
            return None
        value = value[step]
    return value
