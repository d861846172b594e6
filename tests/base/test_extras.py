"""Optional packages: what needs one says so, with the command that installs it."""

import ast
import re
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from relearn.base.errors import UserError
from relearn.base.extras import EXTRAS
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


def modules_of(requirements: list[str]) -> set[str]:
    names = [re.split(r"[\[>=<]", each)[0].lower().replace("-", "_") for each in requirements]
    return {IMPORTED_AS.get(name, name) for name in names}


def workbook(tmp_path: Path) -> object:
    file = tmp_path / "people.xlsx"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    return load_records(file)


NEEDS: dict[str, Callable[[Path], object]] = {
    "bitsandbytes": lambda _: check_quantization(),
    "liger_kernel": lambda _: check_training(TrainingConfig(liger_kernels=["rope"])),
    "lm_eval": lambda _: check_tasks(EvaluationConfig(lm_eval_tasks=["mmlu"])),
    "openai": lambda _: make_llm("openai", LLMConfig(base_url="http://127.0.0.1:9", model="m")),
    "openpyxl": workbook,
    "tenacity": lambda _: make_llm("openai", LLMConfig(base_url="http://127.0.0.1:9", model="m")),
    "vllm": lambda _: make_llm("vllm", LLMConfig(model="m")),
}


@pytest.mark.parametrize("module", EXTRAS)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as caught:
        NEEDS[module](tmp_path)
    assert f"needs {module}, which is not installed" in caught.value.problem
    assert f"pip install 'relearn[{EXTRAS[module]}]'" in caught.value.hint
    assert "\n" not in str(caught.value)
    # The command does bring it.
    assert module in modules_of(PROJECT["optional-dependencies"][EXTRAS[module]])


def test_nothing_else_is_imported_than_what_is_required() -> None:
    required = (
        BROUGHT | {"relearn"} | modules_of(PROJECT["dependencies"]) | set(sys.stdlib_module_names)
    )
    assert "openai" not in required
    package = ROOT / "src" / "relearn"
    strangers = {
        (file.relative_to(package).as_posix(), name)
        for file in package.rglob("*.py")
        for name in imported(ast.parse(file.read_text(encoding="utf-8")))
        if name not in required
    }
    # Imported in its turn, once its packages are known to be there; or by what it is a task for.
    assert strangers == {
        ("evaluation/harnesses/inspect_tasks.py", "inspect_ai"),
        ("llm/endpoint.py", "openai"),
        ("llm/endpoint.py", "tenacity"),
    }


def imported(module: ast.Module) -> set[str]:
    """Return the packages that importing a module imports: not those that its functions do."""
    names = [
        name.name for each in module.body if isinstance(each, ast.Import) for name in each.names
    ]
    names += [each.module or "" for each in module.body if isinstance(each, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}
