"""Recipes: configurations of whole experiments that ship with relearn."""

from importlib.resources import files
from pathlib import Path


def recipes() -> dict[str, Path]:
    """Return the file of each recipe by name."""
    folder = Path(str(files("relearn") / "recipes"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def recipe_summaries() -> dict[str, str]:
    """Return what each recipe is, its first line, and where it is: copy it and change the copy."""
    return {
        name: f"{file.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')} {file}"
        for name, file in recipes().items()
    }
