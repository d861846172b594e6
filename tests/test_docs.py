"""What README and docs point to is there, and what they show can be run."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from relearn.base.storage import write_text
from relearn.cli import app
from relearn.config import RunConfig, load_config
from relearn.evaluation.suites import load_suite
from tools.docs_site import OUTSIDE, for_site, llms_txt, pages, source

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / source(page) for page in sorted(pages())]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def without_code(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub and the site link to them."""
    titles = re.findall(r"^#+ (.+)$", without_code(page), re.M)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower())) for title in titles}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    targets = re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", without_code(page))
    found = []
    for target, anchor in targets:
        file = page.parent / target if target else page
        there = "://" in target or file.exists()
        if not there or (anchor and file.suffix == ".md" and anchor[1:] not in anchors(file)):
            found.append(target + anchor)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_link_leads_nowhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_text(page, "# One, two\n\n[a](#one-two) [b](page.md#one-two) [c](#two) [d](other.md)\n")
    assert broken(page) == ["#two", "other.md"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    names = re.findall(r"\b((?:src|benchmarks)/[\w./-]+\.\w+)", page.read_text(encoding="utf-8"))
    assert [name for name in names if not (ROOT / name).exists()] == []


def in_nav(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            yield from in_nav(value) if isinstance(value, list) else [value]


def test_the_site_has_every_page_and_names_it_once() -> None:
    assert sorted(in_nav(SITE["nav"])) == sorted(pages())


def test_the_readme_and_llms_txt_list_every_page() -> None:
    listed = re.findall(r"\]\((\S+?\.md)\)", llms_txt())
    assert sorted([*listed, *OUTSIDE.values()]) == sorted(pages())
    assert all(": " in line for line in llms_txt().splitlines() if line.startswith("- "))


def test_links_of_the_site() -> None:
    text = "[a](docs/python.md#unlearn) [b](src/relearn/run.py) [c](CONTRIBUTING.md) [d](https://e)"
    there = "[a](python.md#unlearn) b [c](contributing.md) [d](https://e)"
    assert for_site(text, "index.md") == there
    text = "[a](../audit.md) [b](../../SECURITY.md) [c](#here) [d](one-gpu.md)"
    assert for_site(text, "how-to/trl.md") == (
        "[a](../audit.md) [b](../security-policy.md) [c](#here) [d](one-gpu.md)"
    )
    code = "```python\nOBJECTIVES[name](stats)\n```\n"
    assert for_site(code, "index.md") == code


def test_the_site_has_what_the_code_says() -> None:
    shown = {
        page: for_site((ROOT / source(page)).read_text("utf-8"), page)
        for page in pages()
        if page.startswith("reference/")
    }
    assert not any("<!-- relearn" in text for text in shown.values())
    assert (
        "| `training.learning_rate` | 0.0001 | Peak learning rate. |"
        in (shown["reference/settings.md"])
    )
    assert "::: relearn.objectives.npo.npo" in shown["reference/objectives.md"]
    assert "::: relearn.evaluation.metrics.rouge.rouge1_recall" in shown["reference/metrics.md"]
    assert "::: relearn.audit.prefix.prefix" in shown["reference/attacks.md"]
    assert "--fail-above" in shown["reference/commands.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", page.read_text("utf-8"), re.M | re.S)


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every `relearn` in a page's shell examples."""
    for block in blocks(page, "sh"):
        script = re.sub(r"<<'END'\n.*?^END$", "", block, flags=re.M | re.S).replace("\\\n", " ")
        for line in script.splitlines():
            words = shlex.split(line, comments=True)
            if "-m relearn " in line:  # by a launcher
                words = words[words.index("relearn") :]
            # One with an ellipsis is no whole command.
            if words[:1] == ["relearn"] and "…" not in words:
                yield words[1:]


def parsed(words: list[str]) -> None:
    """Have a command line parsed, and nothing done."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("relearn", list(words))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_is_one_that_relearn_takes(page: Path) -> None:
    for words in commands(page):
        parsed(words)


def test_a_command_that_relearn_does_not_take_is_found() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 50
    for wrong in (["run", "--outputs", "a"], ["runn"], ["recipes", "copie", "demo"]):
        with pytest.raises(Exception, match=r"(?i)no such|no such command"):
            parsed(wrong)


def test_help_lists_the_commands_in_the_readmes_order() -> None:
    table = (ROOT / "README.md").read_text("utf-8").partition("## Commands")[2]
    in_readme = list(dict.fromkeys(re.findall(r"^\| `relearn ([a-z-]+)", table, re.M)))
    commands: Any = typer.main.get_command(app)
    listed = list(commands.commands)
    assert sorted(listed) == sorted(in_readme)
    # Commands with commands of their own come last.
    plain = [name for name in listed if not hasattr(commands.commands[name], "commands")]
    assert plain == [name for name in in_readme if name in plain]


def test_every_yaml_example_is_read(tmp_path: Path) -> None:
    kinds = []
    for page in PAGES:
        for block in blocks(page, "yaml"):
            file, keys = tmp_path / "example.yaml", set(yaml.safe_load(block))
            write_text(file, block)
            if keys <= set(RunConfig.model_fields):
                load_config(file)
                kinds.append("run")
            elif "metrics" in keys:
                load_suite(str(file))
                kinds.append("suite")
            else:
                assert "distributed_type" in keys, block  # accelerate's
    assert kinds.count("run") >= 3
    assert kinds.count("suite") == 1


def test_every_python_example_is_run_by_a_test() -> None:
    have = {name_of(page) for page in PAGES if blocks(page, "python")}
    assert have == {
        "docs/extend.md",  # tests/test_extensions.py
        "docs/how-to/trl.md",  # tests/test_examples.py
        *("README.md", "docs/how-to/ci-gate.md", "docs/judges.md"),  # tests/test_docs_python.py
        "docs/python.md",
    }


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
