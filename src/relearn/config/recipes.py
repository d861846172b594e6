"""Recipes: configurations of whole experiments that ship with relearn."""

from importlib.resources import files
from pathlib import Path

from relearn.base.errors import UserError
from relearn.base.registry import did_you_mean
from relearn.base.storage import write_text


def recipes() -> dict[str, Path]:
    """Return the file of each recipe by name."""
    folder = Path(str(files("relearn") / "recipes"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def recipe_summaries() -> dict[str, str]:
    """Return what each recipe is: its first line."""
    return {
        name: file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        for name, file in recipes().items()
    }


def copy_recipe(name: str, file: Path) -> None:
    """Write the recipe `name`, with its comments, to `file`, to be changed there.

    Raises:
        UserError: there is no such recipe, or the file exists or can't be written.
    """
    if name not in recipes():
        raise UserError(f"no recipe is called {name!r}.", did_you_mean(name, recipes()))
    if file.exists():
        raise UserError(f"{file} already exists.", "Name another file.")
    write_text(file, recipes()[name].read_text(encoding="utf-8"))
