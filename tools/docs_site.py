"""What the docs' site has besides its pages: mkdocs calls these functions (`mkdocs.yml`).

- The README is the home page; contributing, changes and security policy are pages too.
- A link to a file that the site does not have, such as source code, becomes plain text there.
- `<!-- relearn … -->` is replaced by what the code says of itself: lists, docstrings, commands.
- `llms.txt`, and each page as Markdown beside its HTML.
"""

import inspect
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security-policy.md",
}
"""Pages from outside `docs`, and where they are in the site."""

_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]*)(#[^)\s]*)?\)")
_MARK = re.compile(r"^<!-- relearn (list|docstrings of|commands) ?(\w*) -->$", re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside `docs`."""
    from mkdocs.structure.files import File

    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page's text as the site has it."""
    return for_site(markdown, page.file.src_uri)


def on_post_build(config: Any) -> None:
    """Write `llms.txt`, and the pages that it names as Markdown."""
    site = Path(config["site_dir"])
    (site / "llms.txt").write_text(llms_txt(), encoding="utf-8")
    for page in pages():
        text = (ROOT / source(page)).read_text(encoding="utf-8")
        (site / page).parent.mkdir(parents=True, exist_ok=True)
        (site / page).write_text(for_site(text, page), encoding="utf-8")


def pages() -> list[str]:
    """Return every page of the site, in no particular order."""
    docs = ROOT / "docs"
    return [*OUTSIDE.values(), *(p.relative_to(docs).as_posix() for p in docs.rglob("*.md"))]


def source(page: str) -> str:
    """Return the file in the repository that a page is made of."""
    return next((name for name, there in OUTSIDE.items() if there == page), f"docs/{page}")


def for_site(markdown: str, page: str) -> str:
    """Return a page's text with links that work in the site, and with what the code says."""
    folder, here = posixpath.dirname(source(page)), posixpath.dirname(page)

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        if not target or ":" in target:
            return found[0]
        file = posixpath.normpath(posixpath.join(folder, target))
        there = OUTSIDE.get(file) or file.removeprefix("docs/")
        if file not in OUTSIDE and not file.startswith("docs/"):
            return text
        return f"[{text}]({posixpath.relpath(there, here or '.')}{anchor})"

    pieces = _FENCE.split(markdown)
    pieces[::2] = [_MARK.sub(_said, _LINK.sub(link, piece)) for piece in pieces[::2]]
    return "".join(pieces)


def llms_txt() -> str:
    """Return the README's title, its first sentence and its list of pages, as llms.txt has them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    title, sentence = readme.split("\n\n")[:2]
    listed = readme.partition("## Further reading\n")[2].partition("\n## ")[0]
    groups = re.findall(r"^\*\*(.+?)\*\*\n\n((?:(?:- |  ).*\n)+)", listed, re.MULTILINE)
    parts = [title, f"> {sentence}"]
    for name, entries in groups:
        lines = re.sub(r"\n +", " ", entries.strip())
        parts.append(f"## {name}\n\n{for_site(lines, 'index.md')}")
    return "\n\n".join(parts) + "\n"


def _said(found: re.Match[str]) -> str:
    return {"list": _list, "docstrings of": _docstrings, "commands": _commands}[found[1]](found[2])


def _list(kind: str) -> str:
    """Return what `relearn list KIND` prints, as a table."""
    from relearn.cli.lists import LISTS

    headings, *rows = LISTS[kind]()
    lines = [headings, ["---"] * len(headings), *([f"`{row[0]}`", *row[1:]] for row in rows)]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    text = re.sub(r"docs/([\w-]+\.md)", r"[\1](../\1)", text)
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>")


def _docstrings(kind: str) -> str:
    """Return mkdocstrings' directive for each entry of a registry, under the entry's name."""
    return "\n\n".join(_described(name, each) for name, each in sorted(_functions(kind).items()))


def _described(name: str, function: Callable[..., Any]) -> str:
    # What is made within another function has no name by which it could be found.
    if "<locals>" in function.__qualname__:
        return f"## {name}\n\n{inspect.cleandoc(function.__doc__ or '')}"
    options = f"heading_level: 2, heading: {name}, toc_label: {name}"
    return f"::: {function.__module__}.{function.__qualname__}\n    options: {{{options}}}"


def _functions(kind: str) -> dict[str, Callable[..., Any]]:
    from relearn.audit import ATTACKS
    from relearn.evaluation.metrics import METRICS
    from relearn.objectives import OBJECTIVES

    if kind == "objectives":
        return {name: each.terms for name, each in OBJECTIVES.items()}
    if kind == "metrics":
        return {name: each.function for name, each in METRICS.items()}
    return {name: each.work for name, each in ATTACKS.items()}


def _commands(_: str) -> str:
    """Return every command with its options, as `--help` has them."""
    from relearn.cli import app

    context = typer.Context(typer.main.get_command(app), info_name="relearn")
    text = get_docs_for_click(obj=context.command, ctx=context, name="relearn")
    return text.partition("\n")[2]
