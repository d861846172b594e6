"""Optional packages: what needs one says so, with the command that installs it."""

import ast
import importlib
import re
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from relearn.base.errors import UserError
from relearn.base.extras import DISTRIBUTION, EXTRAS, present
from relearn.config import EvaluationConfig, LLMConfig, TrainingConfig
from relearn.data.sources import load_records
from relearn.evaluation.general import check_tasks
from relearn.llm import make_llm
from relearn.models.loading import check_quantization
from relearn.training.checks import check_training

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# By jinja2 and pydantic, and part of what they are.
BROUGHT = {"markupsafe", "pydantic_core", "typing_extensions"}
IMPORTED_AS = {"pyyaml": "yaml", "scikit_learn": "sklearn", "vl_convert_python": "vl_convert"}
PACKAGE = ROOT / "src" / "relearn"


def modules_of(requirements: list[str]) -> set[str]:
    names = [re.split(r"[\[>=<]", each)[0].lower().replace("-", "_") for each in requirements]
    return {IMPORTED_AS.get(name, name) for name in names}


def workbook(tmp_path: Path) -> object:
    file = tmp_path / "people.xlsx"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    return load_records(file)


def analysis(_: Path) -> object:
    return importlib.reload(importlib.import_module("relearn.analysis"))


NEEDS: dict[str, Callable[[Path], object]] = {
    "bitsandbytes": lambda _: check_quantization(),
    "datasets": lambda _: load_records("tofu:forget10"),
    "liger_kernel": lambda _: check_training(TrainingConfig(liger_kernels=["rope"])),
    "lm_eval": lambda _: check_tasks(EvaluationConfig(lm_eval_tasks=["mmlu"])),
    "openai": lambda _: make_llm("openai", LLMConfig(base_url="http://127.0.0.1:9", model="m")),
    "openpyxl": workbook,
    "pandas": analysis,
    "tenacity": lambda _: make_llm("openai", LLMConfig(base_url="http://127.0.0.1:9", model="m")),
    "vllm": lambda _: make_llm("vllm", LLMConfig(model="m")),
}


# Without which all goes on, and says so: tests/report/test_report_html.py.
INSTEAD_OF_CHARTS = {module for module, extra in EXTRAS.items() if extra == "report"}


@pytest.mark.parametrize("module", [module for module in EXTRAS if module not in INSTEAD_OF_CHARTS])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as caught:
        NEEDS[module](tmp_path)
    assert f"needs {module}, which is not installed" in caught.value.problem
    assert f"pip install '{PROJECT['name']}[{EXTRAS[module]}]'" in caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", EXTRAS)
def test_an_extra_brings_its_modules(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module in modules_of(PROJECT["optional-dependencies"][EXTRAS[module]])
    monkeypatch.setitem(sys.modules, module, None)
    assert not present(EXTRAS[module])


def test_a_workbook_needs_what_reads_it_and_what_makes_rows_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openpyxl")
    assert modules_of(PROJECT["optional-dependencies"]["excel"]) == {"openpyxl", "pandas"}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="an Excel workbook, needs pandas, which is not installed"):
        workbook(tmp_path)


def test_the_package_is_called_what_messages_call_it() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert set(PROJECT["scripts"].values()) == {"relearn.cli:main"}
    assert PROJECT["scripts"].keys() == {"relearn", DISTRIBUTION}


REQUIRED = BROUGHT | modules_of(PROJECT["dependencies"])
# Imports an extra's packages as it is imported itself: once they are known to be there, or by the
# program that it is a task for.
BEHIND = {
    "relearn.analysis",
    "relearn.data.hub_datasets",
    "relearn.drawing",
    "relearn.evaluation.harnesses.inspect_tasks",
    "relearn.evaluation.harnesses.lm_eval_tasks.records",
    "relearn.llm.endpoint",
}


def trees() -> dict[str, ast.Module]:
    """Return every module of relearn, parsed, by its name."""
    return {
        ".".join(("relearn", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): ast.parse(file.read_text(encoding="utf-8"))
        for file in PACKAGE.rglob("*.py")
    }


def imports(nodes: Iterable[ast.AST]) -> set[str]:
    """Return what the imports among `nodes` name: modules, and what may be one in a package."""
    names: set[str] = set()
    for each in nodes:
        if isinstance(each, ast.Import):
            names |= {name.name for name in each.names}
        elif isinstance(each, ast.ImportFrom) and each.module:
            names |= {each.module, *(f"{each.module}.{name.name}" for name in each.names)}
    return names


def strangers(names: Iterable[str]) -> set[str]:
    """Return the packages among modules that are neither relearn, required nor Python's own."""
    packages = {name.partition(".")[0] for name in names}
    return packages - REQUIRED - {"relearn"} - set(sys.stdlib_module_names)


def is_behind(module: str) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in BEHIND)


def test_no_extra_is_imported_before_it_is_known_to_be_there() -> None:
    at_once = {name: imports(tree.body) for name, tree in trees().items()}
    others = {name: found for name, found in at_once.items() if not is_behind(name)}
    assert {name: found for name in others if (found := strangers(others[name]))} == {}
    # To import one of these modules at once would come to the same.
    assert [name for name, found in others.items() if any(map(is_behind, found))] == []
    # Each is imported in its turn, and brings an extra in.
    assert strangers(at_once["relearn.drawing"]) == {"altair", "vl_convert"}
    used = {name: imports(ast.walk(tree)) for name, tree in trees().items()}
    for module in ("relearn.analysis.command", "relearn.data.hub_datasets", "relearn.drawing"):
        assert any(module in used[name] for name in others), module


def test_whatever_is_imported_is_declared_and_named_where_it_is_missing() -> None:
    used = {name: imports(ast.walk(tree)) for name, tree in trees().items()}
    assert set().union(*map(strangers, used.values())) <= EXTRAS.keys() | {"inspect_ai"}
    extras = PROJECT["optional-dependencies"]
    declared = set().union(*(modules_of(extras[name]) for name in extras if name != "dev"))
    assert EXTRAS.keys() | {"inspect_ai"} <= declared
    # And whatever is required is used; pip is called as a program.
    imported = {name.partition(".")[0] for found in used.values() for name in found}
    assert modules_of(PROJECT["dependencies"]) - imported == {"pip"}
