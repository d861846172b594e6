"""Options of objectives and wrappers: names, types and ranges, before anything is computed."""

from typing import Any

import pytest
from typer.testing import CliRunner

from relearn.base.errors import UserError
from relearn.cli import app
from relearn.objectives import OBJECTIVES
from relearn.training.wrappers import WRAPPERS

CONFIGURABLE = {**OBJECTIVES, **WRAPPERS}


@pytest.mark.parametrize("name", CONFIGURABLE)
def test_defaults_are_within_their_ranges_and_every_option_has_a_type(name: str) -> None:
    options = CONFIGURABLE[name].options
    options.check(options.defaults)
    assert options.describe().keys() == options.defaults.keys()
    assert "value" not in options.describe().values()
    assert all(line.endswith(".") and ". ." not in line for line in options.lines())
    assert all(len(line.partition(": ")[2].partition(". ")[2]) > 3 for line in options.lines())


@pytest.mark.parametrize(
    ("name", "option", "value", "range_"),
    [
        ("npo", "beta", "x", "number above 0"),
        ("npo", "beta", "0.5", "number above 0"),
        ("npo", "beta", -1, "number above 0"),
        ("npo", "beta", 0, "number above 0"),
        ("npo", "beta", float("nan"), "number above 0"),
        ("npo", "beta", None, "number above 0"),
        ("npo", "beta", True, "number above 0"),
        ("simnpo", "gamma", [1], "number"),
        ("undial", "beta", -0.1, "number at least 0"),
        ("ceu", "skip", 1.5, "whole number at least 0"),
        ("rmu", "layer", -1, "whole number at least 0"),
        ("sure", "percentile", 101, "number at least 0 and at most 100"),
        ("memflex", "max_similarity", 1.1, "number at least -1 and at most 1"),
    ],
)
def test_wrong_type_or_range_names_the_option_and_what_it_may_be(
    name: str, option: str, value: Any, range_: str
) -> None:
    with pytest.raises(UserError) as caught:
        CONFIGURABLE[name].options.check({option: value})
    assert f"_options.{option}: {value!r} is not a {range_}." in str(caught.value)


def test_whole_numbers_are_numbers() -> None:
    OBJECTIVES["npo"].options.check({"beta": 1})


def test_unknown_option_suggests_the_known() -> None:
    with pytest.raises(UserError, match=r"'btea'.*Did you mean 'beta'\?"):
        OBJECTIVES["npo"].options.check({"btea": 1})
    with pytest.raises(UserError, match="Known: none"):
        OBJECTIVES["ga"].options.check({"beta": 1})


def test_options_are_listed_with_default_and_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relearn.cli.common.console.width", 200)
    listed = CliRunner().invoke(app, ["list", "objectives"]).output
    assert "beta = 0.1: number above 0. Inverse temperature." in listed
    assert "layer = None: whole number at least 0. Decoder layer, from 0; None means 7" in listed
    assert "percentile = 90.0" in CliRunner().invoke(app, ["list", "wrappers"]).output
