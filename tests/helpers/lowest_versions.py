"""Prints the lower bounds of pyproject.toml as pip's constraints: `make test-lowest` installs them.

lowest_versions.py [NAME==VERSION …]: versions to take instead of the declared ones.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def lowest(project: dict[str, dict], instead: dict[str, str]) -> list[str]:
    """Return `name==version` of each requirement with a lower bound, the tests' own included.

    Args:
        project: The table `project` of a pyproject.toml.
        instead: Versions by name that replace the declared ones.
    """
    requirements = [*project["dependencies"], *extra(project, "dev")]
    bounds = (re.match(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in requirements)
    return [f"{b[1]}=={instead.get(b[1], b[2])}" for b in bounds if b]


def extra(project: dict[str, dict], name: str) -> list[str]:
    """Return an extra's requirements, with those of the project's other extras that it names."""
    found = []
    for requirement in project["optional-dependencies"][name]:
        own = re.fullmatch(rf"{project['name']}\[([\w, -]+)\]", requirement)
        names = own[1].replace(" ", "").split(",") if own else []
        found += [each for other in names for each in extra(project, other)] or [requirement]
    return found


if __name__ == "__main__":
    given = dict(argument.split("==") for argument in sys.argv[1:])
    print("\n".join(lowest(tomllib.loads(PROJECT.read_text())["project"], given)))
