"""What README and docs point to is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_leads_nowhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    names = re.findall(r"\b((?:src|benchmarks)/[\w./-]+\.\w+)", page.read_text(encoding="utf-8"))
    assert [name for name in names if not (ROOT / name).exists()] == []


def names_in(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """What a module or class defines, with the body of each."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {each.name: each.body for each in body if isinstance(each, kinds)}


def test_the_walks_through_the_code_name_what_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walks = page.partition("## Two walks")[2].partition("## Concepts")[0]
    dotted = re.findall(r"`([a-z_]+(?:\.\w+)+)`", walks)
    named = [name for name in dotted if not name.endswith((".jsonl", ".yaml"))]
    assert len(named) >= 20
    for name in named:
        file, parts = ROOT / "src" / "relearn", name.split(".")
        while file.is_dir():
            inside = file / parts.pop(0)
            file = inside if inside.is_dir() else inside.with_suffix(".py")
        body = ast.parse(file.read_text(encoding="utf-8")).body
        for part in parts:
            assert part in names_in(body), name
            body = names_in(body)[part]
