"""`relearn recipes`: configurations that ship with relearn, to run or to copy and change."""

from pathlib import Path
from typing import Annotated

import typer

from relearn.cli.common import Table, console
from relearn.config import copy_recipe, recipe_summaries, recipes

app = typer.Typer(help="List the recipes, or copy one to change it.")


def _names(incomplete: str) -> list[str]:
    """Complete a recipe's name in the shell."""
    return [name for name in recipes() if name.startswith(incomplete)]


@app.callback(invoke_without_command=True)
def list_recipes(context: typer.Context) -> None:
    """List the recipes; `relearn run --config NAME` runs one."""
    if context.invoked_subcommand is not None:
        return
    table = Table("recipe", "")
    for row in recipe_summaries().items():
        table.add_row(*row)
    console.print(table)


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="Of the recipe.", autocompletion=_names)],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to. Default: NAME.yaml, here.")
    ] = None,
) -> None:
    """Copy a recipe, comments and all, to a YAML file of yours."""
    file = file or Path(f"{name}.yaml")
    copy_recipe(name, file)
    console.print(f"recipe: {file}", soft_wrap=True, highlight=False)
    console.print(
        f"Edit it, then: relearn run --config {file} --output runs/{name}", soft_wrap=True
    )
