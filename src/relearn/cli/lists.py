"""`relearn list`: what there is by name, as the code itself describes it."""

import json
from collections.abc import Callable, Mapping
from typing import Annotated

import typer
from rich.text import Text

from relearn.base.errors import UserError
from relearn.cli.common import Table, console
from relearn.config import benchmark_names, describe_settings, load_benchmark

_KINDS = (
    "objectives, wrappers, metrics, attacks, backends, benchmarks, suites, tasks, judges, models, "
    "settings."
)
Rows = list[tuple[str, ...]]


def _kinds(incomplete: str) -> list[str]:
    """Complete the name of a list in the shell."""
    return [kind for kind in LISTS if kind.startswith(incomplete)]


def list_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=_KINDS, autocompletion=_kinds)],
) -> None:
    """List what there is by name, with one line each."""
    if kind not in LISTS:
        raise UserError(f"there is no list of {kind!r}.", f"Known: {', '.join(LISTS)}.")
    headings, *rows = LISTS[kind]()
    table = Table(*headings)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    # A place is to be copied: in one piece, however long.
    for line in _PLACES.get(kind, dict)().items():
        console.print(Text(": ".join(line)), soft_wrap=True)


def _objectives() -> Rows:
    from relearn.objectives import OBJECTIVES

    lines = {name: entry.options.lines() for name, entry in OBJECTIVES.items()}
    return _with_options("objective", OBJECTIVES.summaries(), lines)


def _wrappers() -> Rows:
    from relearn.training.wrappers import WRAPPERS

    lines = {name: entry.options.lines() for name, entry in WRAPPERS.items()}
    return _with_options("wrapper", WRAPPERS.summaries(), lines)


def _with_options(
    heading: str,
    summaries: Mapping[str, str],
    options: Mapping[str, list[str]],
    title: str = "options",
) -> Rows:
    rows = [(name, text, "\n".join(options[name])) for name, text in summaries.items()]
    return [(heading, "", title), *rows]


def metrics() -> Rows:
    """Return headings and a row for each metric, as in docs/metrics.md."""
    from relearn.evaluation.metrics import METRICS

    rows = [
        (name, each.text, each.values, each.good, each.source) for name, each in METRICS.items()
    ]
    return [("metric", "what", "values", "good (forget / retain)", "source"), *rows]


def _attacks() -> Rows:
    from relearn.audit import ATTACKS

    lines = {
        name: [
            f"{budget}: {', '.join(f'{k}={json.dumps(v)}' for k, v in knobs.items()) or 'yes'}"
            for budget, knobs in entry.knobs.items()
        ]
        for name, entry in ATTACKS.items()
    }
    return _with_options("attack", ATTACKS.summaries(), lines, "knobs")


def _backends() -> Rows:
    from relearn.synthesis.backends import BACKENDS

    return _summarized("synthesis backend", BACKENDS.summaries())


def benchmarks() -> Rows:
    """Return headings and a row for each benchmark, as in docs/suites.md."""
    rows = [
        (name, f"{each.description} {each.access}".strip(), ", ".join(each.variants), each.licence,
         each.paper)
        for name, each in ((name, load_benchmark(name)) for name in benchmark_names())
    ]  # fmt: skip
    return [("benchmark", "what", "variants", "licence", "source"), *rows]


def _suites() -> Rows:
    from relearn.evaluation.suites import load_suite, suite_names

    return _summarized("suite", {name: load_suite(name).description for name in suite_names()})


def _tasks() -> Rows:
    from relearn.evaluation.harnesses import LM_EVAL_TASKS

    lm_eval = sorted(f"relearn_{file.stem}" for file in LM_EVAL_TASKS.glob("*.yaml"))
    return [
        ("tasks for", "names", "how"),
        ("lm-evaluation-harness", "\n".join(lm_eval), "lm_eval run --include_path FOLDER"),
        ("Inspect", "tofu\nknowundo\nrecords", "inspect eval FILE@NAME"),
    ]


def _task_places() -> dict[str, str]:
    from relearn.evaluation.harnesses import INSPECT_TASKS, LM_EVAL_TASKS

    return {"FOLDER": str(LM_EVAL_TASKS), "FILE": str(INSPECT_TASKS)}


def _judges() -> Rows:
    from relearn.evaluation.judges import summaries

    return _summarized("judge", summaries())


def _models() -> Rows:
    from relearn.store.embedded import EMBEDDED

    return _summarized("model", {name: model.summary for name, model in EMBEDDED.items()})


def _settings() -> Rows:
    rows = [(name, default, text) for name, (default, text) in describe_settings().items()]
    return [("setting", "default", ""), *rows]


def _summarized(heading: str, summaries: Mapping[str, str]) -> Rows:
    return [(heading, ""), *summaries.items()]


LISTS: Mapping[str, Callable[[], Rows]] = {
    "objectives": _objectives,
    "wrappers": _wrappers,
    "metrics": metrics,
    "attacks": _attacks,
    "backends": _backends,
    "benchmarks": benchmarks,
    "suites": _suites,
    "tasks": _tasks,
    "judges": _judges,
    "models": _models,
    "settings": _settings,
}
"""By the name on the command line, what returns the headings and rows of a list."""

_PLACES: Mapping[str, Callable[[], dict[str, str]]] = {"tasks": _task_places}
"""What a list's placeholders stand for on this machine."""
