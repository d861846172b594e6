"""`relearn report`: write the report of a finished run again."""

from relearn.cli.common import RunPath, console


def report(run: RunPath) -> None:
    """Rewrite the report of a finished run."""
    from relearn.finished_run import load_run

    console.print(f"report: {load_run(run).report()}", soft_wrap=True, highlight=False)
