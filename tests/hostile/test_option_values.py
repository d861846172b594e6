"""Options of objectives, wrappers, attacks and metrics with values of the wrong type or range."""

from collections.abc import Iterator
from typing import Any

import pytest

from relearn.audit.base import ATTACKS
from relearn.audit.pipeline import chosen_attacks
from relearn.base.errors import UserError
from relearn.base.options import Options
from relearn.config import AuditConfig
from relearn.evaluation.metrics.base import METRICS, JointMetric, chosen_metrics
from relearn.evaluation.suites import load_suite
from relearn.objectives import OBJECTIVES
from relearn.training.wrappers import WRAPPERS

NAN, INFINITE = float("nan"), float("inf")
WRONG: dict[str, list[Any]] = {
    "number": ["x", "", "0.5", [], [1], {}, True, NAN, INFINITE, -INFINITE, b"1", "\0", 1j],
    "whole number": ["x", "3", [], {}, True, 1.5, 3.0, NAN, INFINITE, "٣"],
    "true or false": ["x", "true", 1, 0, [], {}, 0.0],
    "string": [3, True, [], {}, b"x"],
    "list": ["x", 3, True, {}, "[1]"],
    "mapping": ["x", 3, True, [], [[1, 2]]],
}
BEYOND = {"above": 0, "at least": -1e-6, "below": 0, "at most": 1e-6}


def configurable() -> Iterator[tuple[str, Options]]:
    """Yield all that has options, by name."""
    for name, each in {**OBJECTIVES, **WRAPPERS}.items():
        yield name, each.options
    for name, attack in ATTACKS.items():
        for budget, knobs in attack.knobs.items():
            yield f"{name} {budget}", Options(f"audit.options.{name}", attack.work, 2, knobs)
    for name, metric in METRICS.items():
        if isinstance(metric, JointMetric) and metric.options:
            yield name, metric.options


OPTIONS = [
    pytest.param(options, option, described, id=f"{name}-{option}")
    for name, options in configurable()
    for option, described in options.describe().items()
]


@pytest.mark.parametrize(("options", "option", "described"), OPTIONS)
def test_an_option_of_the_wrong_type_or_out_of_range(
    options: Options, option: str, described: str
) -> None:
    kind = max((kind for kind in WRONG if described.startswith(kind)), key=len)
    tried = list(WRONG[kind])
    for word, beyond in BEYOND.items():
        if f"{word} " in described:
            bound = float(described.partition(f"{word} ")[2].split()[0])
            tried.append(bound + beyond if kind == "number" else round(bound + beyond * 1e6))
    for value in tried:
        with pytest.raises(UserError) as caught:
            options.check({option: value})
        assert option in caught.value.problem or str(value) in caught.value.problem, value
        assert str(caught.value).isprintable()
        assert caught.value.hint


@pytest.mark.parametrize(("options", "option", "described"), OPTIONS)
def test_a_misspelled_option_is_suggested(options: Options, option: str, described: str) -> None:
    with pytest.raises(UserError, match=f"Did you mean '{option}'"):
        options.check({f"{option}x": 1})
    options.check({option: options.defaults[option]})


def test_there_is_something_to_try() -> None:
    assert len(OPTIONS) > 40


@pytest.mark.parametrize(
    "settings",
    [{"attacks": ["nope"]}, {"attacks": [""]}, {"attacks": ["../prefix"]},
     {"options": {"nope": {}}},
     {"options": {"prefix": {"nope": 1}}}, {"options": {"sampling": {"samples": "x"}}},
     {"options": {"sampling": {"samples": 10**30}}, "attacks": ["prefix"]}],
    ids=str,
)  # fmt: skip
def test_attacks_that_are_none(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        chosen_attacks(AuditConfig(**settings))


@pytest.mark.parametrize(
    "name",
    ["", "nope", "kfr()", "kfr(k=1)", "mia_min_k_auc(k=)", "mia_min_k_auc(k=[)",
     "mia_min_k_auc(k=x)",
     "mia_min_k_auc(k=2)", "mia_min_k_auc(k=.nan)", "mia_min_k_auc(k=!!python/name:os.system)",
     "mia_min_k_auc(k=0.4", "mia_min_k_auc(k=0.4)(k=0.4)", "mia_min_k_auc(j=0.4)", "\0", "kfr\n",
     "mia_min_k_auc(k='0.4')", "mia_min_k_auc(k=2020-99-99)", "__class__"],
    ids=repr,
)  # fmt: skip
def test_metrics_that_are_none(name: str) -> None:
    with pytest.raises(UserError) as caught:
        chosen_metrics([name])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["", "nope", "../relearn", "/etc/passwd", "\0", "relearn.yaml", "."]
)
def test_suites_that_are_none(name: str) -> None:
    with pytest.raises(UserError):
        load_suite(name)
