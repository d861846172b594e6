"""`relearn audit`: whether what was unlearned can be brought back."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer
import yaml
from rich.text import Text

from relearn.base.distributed import by_leader
from relearn.base.errors import UserError
from relearn.cli.common import Table, console
from relearn.config import Budget

CROSSED = 3  # exit code where a threshold is crossed


def audit(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="Run folder.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="A further model to judge, beside the run's."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Instead of a run; target, base and never_saw are the controls.",
        ),
    ] = None,
    forget: Annotated[str | None, typer.Option(help="With --models: what is to be gone.")] = None,
    retain: Annotated[
        str | None, typer.Option(help="With --models: what should have stayed.")
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="A model that never saw the forget set.")
    ] = None,
    attack: Annotated[
        list[str] | None, typer.Option(help="Only this attack; again for more.")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="How hard to try: quick, standard or thorough.")
    ] = "quick",
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ATTACK.KNOB=VALUE",
            help="A knob of an attack, in the place of the budget's; again for more.",
        ),
    ] = None,
    fail_above: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ATTACK=RATE",
            help="Exit with 3 where an attack, or the worst, gets more than this out; of "
            "collateral, where more than this is lost.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder to write to; default RUN/audit.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes what is random.")] = 0,
) -> None:
    """Try to bring the knowledge back. The same command resumes a killed audit."""
    from relearn.audit.command import audit as run_audit
    from relearn.audit.command import audit_config
    from relearn.audit.pipeline import check_thresholds, chosen_attacks

    options: dict[str, dict[str, Any]] = {}
    for each in option or []:
        name, knob, value = _option(each)
        options.setdefault(name, {})[knob] = value
    thresholds = dict(map(_threshold, fail_above or []))
    check_thresholds(thresholds, chosen_attacks(audit_config(run, attack or [], budget, options)))
    if (run is None) == (not models):
        raise UserError("audit takes either a run folder or --models.", "Give one of them.")
    if run is None and not (forget and output):
        raise UserError("--models needs --forget FILE and --output DIR.", "Give both.")
    found = run_audit(
        run,
        models=_named([*(models or []), *(model or [])], "--models" if models else "--model"),
        forget=None if run else forget,
        retain=None if run else retain,
        control=control,
        attacks=attack or [],
        budget=cast(Budget, budget),
        options=options,
        output=output,
        seed=seed,
    )
    print_audit(found.summary)
    if run is not None and found.path == run / "audit" and (run / "summary.json").is_file():
        from relearn.finished_run import load_run

        report = by_leader(load_run(run).report)
        console.print(f"report: {report}", soft_wrap=True, highlight=False)
    console.print(f"audit: {found.path}", soft_wrap=True, highlight=False)
    lines = found.crossed(thresholds)
    for line in lines:
        console.print(Text(line), style="red", soft_wrap=True)
    if lines:
        raise typer.Exit(CROSSED)


def print_audit(summary: Mapping[str, Any]) -> None:
    """Print the share of facts told by attack and model, then the worst case."""
    from relearn.audit.summary import rate_of

    names = list(summary["models"])
    table = Table("facts told by", *names)
    for attack in next(iter(summary["models"].values())):
        figures = [summary["models"][name][attack] for name in names]
        label = "collateral: kept" if figures[0]["about"] == "retain" else attack
        table.add_row(label, *(_percent(rate_of(each)) for each in figures))
    never = summary["facts_never_recovered"]
    table.add_section()
    table.add_row("never recovered", *(_percent(never[name]) for name in names))
    console.print(table)
    for name, worst in summary["worst"].items():
        if summary["roles"][name] == "unlearned" and worst["attack"]:
            console.print(Text(worst_line(name, worst, summary)), soft_wrap=True)
    for name, leak in summary["cross_leaks"].items():
        if summary["roles"][name] == "unlearned" and leak["attack"]:
            console.print(Text(cross_leak_line(name, leak, summary)), soft_wrap=True)
    for warning in summary["warnings"]:
        console.print(Text(f"warning: {warning}"), style="yellow", soft_wrap=True)


def cross_leak_line(name: str, leak: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Return in words how often a model told what another record than the one asked for hides."""
    line = f"{name}, other records' facts: told to {leak['attack']} for {_percent(leak['rate'])}"
    if summary["control"] is None:
        return f"{line}; there is no control to compare with."
    return f"{line}, by {summary['control']} for {_percent(leak['control'])}."


def worst_line(name: str, worst: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Return in words what the worst attack got out of a model."""
    told = _percent(worst["leak_rate"])
    line = f"{name}, worst case: {worst['attack']} gets {told} of the facts out"
    control = summary["control"]
    if control is None:
        return f"{line}; there is no control to compare with."
    return f"{line}, {_percent(worst['excess'])} beyond what {control} tells."


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _named(options: Sequence[str], flag: str) -> dict[str, str]:
    """Return the paths of models by name."""
    from relearn.models.place import named_path

    found: dict[str, str] = {}
    for name, path in (named_path(each, flag) for each in options):
        if name in found:
            raise UserError(
                f"{flag}: two models are called {name!r}, {found[name]} and {path}.",
                "Give each a name of its own.",
            )
        found[name] = path
    return found


def _option(option: str) -> tuple[str, str, Any]:
    found = re.fullmatch(r"(\w+)\.(\w+)=(.*)", option, re.DOTALL)
    if not found:
        raise UserError(
            f"--option {option!r} is not ATTACK.KNOB=VALUE.", "Such as sampling.samples=50."
        )
    try:
        return found[1], found[2], yaml.safe_load(found[3])
    except yaml.YAMLError as error:
        raise UserError(
            f"--option {option!r}: the value is no YAML.", "Such as prefix.kept=[1, 2]."
        ) from error


def _threshold(option: str) -> tuple[str, float]:
    name, _, value = option.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise UserError(
            f"--fail-above {option!r} is not ATTACK=RATE.", "Such as worst=0.1."
        ) from error
