"""The report: one self-contained HTML file that asks nothing of any network.

Whatever the run's texts say, they stay text: templates escape, the data for the script is JSON with
its markup characters escaped, the script sets `textContent` only, and a Content-Security-Policy
lets no script run but the two whose hashes it names.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from relearn.base.extras import installing, present
from relearn.base.private import private_files
from relearn.base.progress import note
from relearn.base.storage import write_text
from relearn.base.visible import visible
from relearn.chart import UNDRAWN, Chart
from relearn.config import CONTROLS, NEVER_SAW, dump_config
from relearn.report import glossary
from relearn.report.analysis import read_analysis
from relearn.report.charts import charts
from relearn.report.results import ModelResults, RunResults, read_results
from relearn.report.verdict import judge

_SAMPLES_OF_A_KIND = 2
_SAMPLES_OF_A_REASON = 1


@private_files()
def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run folder and return its path.

    Baselines, unseen sets, synthesis and training histories may be absent. With `report.redact`
    in the run's configuration no question, answer or other text of the run is in the file. Without
    the extra `report` it has no charts, and says so.

    Raises:
        UserError: `run_folder` is no run folder, nothing is evaluated in it, or the disk is full.
    """
    results = read_results(run_folder)
    if results.config.report.redact:
        results = results.redacted()
    path = run_folder / "report.html"
    analysis = read_analysis(run_folder, _labels(results), results.config.report.redact)
    write_text(path, _render(results, analysis))
    return path


def _render(results: RunResults, analysis: dict[str, Any] | None) -> str:
    environment = Environment(
        loader=PackageLoader("relearn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _shown(value),
    )
    environment.filters |= {"duration": glossary.duration, "size": glossary.size}
    environment.globals["percent"] = glossary.percent
    environment.globals["drawable"] = drawable = present("report")
    style = _resource("report.css") + (_resource("analysis.css") if analysis else "")
    drawn, labels = charts(results), _labels(results)
    data: dict[str, Any] = {"config": {}, "panels": {}}
    scripts = [_resource("report.js")]
    if drawable:
        script, data = _drawn([*drawn, *(analysis["charts"] if analysis else [])], labels)
        scripts.insert(0, script)
    else:
        note(UNDRAWN)
    return environment.get_template("report.html.j2").render(
        run=results,
        policy=_security_policy(scripts),
        # Shipped files, and Vega's own code.
        style=Markup(style),  # noqa: S704  # nosec B704
        scripts=[Markup(script) for script in scripts],  # noqa: S704  # nosec B704
        verdict=judge(results),
        tables=_tables(results),
        comparison=_comparison(results),
        labels=labels,
        charts=drawn,
        drawing_command=installing("report"),
        analysis=analysis,
        chart_data=_embedded(data),
        example_data=_embedded(_example_data(results)),
        sets=glossary.SETS | {"after": "Model of the run before"},
        samples=_samples(results),
        rejected=_rejected(results),
        configuration=dump_config(results.config),
        provenance=_provenance(results.manifest),
    )


def _drawn(charts: Sequence[Chart], labels: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the script that draws charts, and what the page's own script gives it."""
    from relearn.drawing import CONFIG, drawing_script, specifications

    panels = {chart.id: specifications(chart, labels) for chart in charts}
    return drawing_script(), {"config": CONFIG, "panels": panels}


def _all_visible(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _all_visible(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_all_visible(each) for each in value]
    return visible(value) if isinstance(value, str) else value


def _shown(value: Any) -> Any:
    """Make text from the run visible; `Markup` is ours and stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _resource(name: str) -> str:
    return (files("relearn.report") / "templates" / name).read_text(encoding="utf-8")


def _security_policy(scripts: list[str]) -> str:
    """Return a policy under which exactly `scripts` run and nothing is ever fetched.

    Vega places its drawings with inline styles; with every source closed, styles can't fetch. Its
    expressions are interpreted, so nothing is evaluated as script.
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def _embedded(value: Any) -> Markup:
    """Return `value`, its texts visible, as JSON that none of them can end or turn into markup."""
    text = json.dumps(
        _all_visible(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # nosec B704  # escaped above


def _tables(results: RunResults) -> list[list[dict[str, Any]]]:
    """Return the table of the main figures, and that of all others if there are any."""
    keys = sorted({key for model in results.models for key in model.metrics}, key=glossary.order)
    main = [key for key in keys if key in glossary.SHOWN_FIRST] or keys
    explained: set[str] = set()
    others = [key for key in keys if key not in main]
    return [_table(results, some, explained) for some in (main, others) if some]


def _table(results: RunResults, keys: list[str], explained: set[str]) -> list[dict[str, Any]]:
    """Return for each set its heading and rows, with the models' cells; see `explained` grow."""
    table = []
    for set_name, group in groupby(keys, key=lambda key: key.partition("/")[0]):
        rows = [_table_row(results, key) for key in group]
        for row in rows:
            # A reader who goes down the table needs each meaning once.
            row["explain"] = row["meaning"].label not in explained
            explained.add(row["meaning"].label)
        table.append({"heading": glossary.SETS.get(set_name, set_name), "rows": rows})
    return table


def _comparison(results: RunResults) -> dict[str, Any] | None:
    """Return the models as rows with their main figures; None where there is nothing to compare."""
    if len(results.models) < 3:
        return None
    rows = []
    for model in results.models:
        stage = results.manifest.get("stages", {}).get(f"training/{model.key}", {})
        figures = model.metrics | {"seconds": stage.get("seconds")}
        cells = [glossary.number(figures.get(key)) for key in glossary.MAIN_FIGURES]
        rows.append({"label": model.label, "cells": cells})
    return {"headings": list(glossary.MAIN_FIGURES.values()), "rows": rows}


def _table_row(results: RunResults, key: str) -> dict[str, Any]:
    set_name, _, metric = key.partition("/")
    meaning = glossary.meaning(metric or key)
    direction = meaning.direction(set_name)
    texts = {model.key: glossary.number(model.metrics.get(key)) for model in results.models}
    # A control has unlearned nothing, so it doesn't compete.
    rivals = [m for m in results.models if m.key not in CONTROLS and key in m.metrics]
    best = None
    if direction and len({texts[model.key] for model in rivals}) > 1:
        choose = max if direction == "higher" else min
        best = texts[choose(rivals, key=lambda model: model.metrics[key]).key]
    return {
        "meaning": meaning,
        "direction": direction,
        "cells": [
            {
                "text": texts[m.key],
                "best": m.key not in CONTROLS and texts[m.key] == best,
                "doubt": _doubt(m, key),
            }
            for m in results.models
        ],
    }


def _doubt(model: ModelResults, key: str) -> str:
    """Return how sure a figure is: its interval, and the p-value of its change."""
    parts = []
    if key in model.intervals:
        low, high = (glossary.number(bound) for bound in model.intervals[key])
        parts.append(f"{low} to {high}" if low != high else "")
    if key in model.p_values:
        p_value = model.p_values[key]
        parts.append("p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}")
    return ", ".join(filter(None, parts))


def _labels(results: RunResults) -> dict[str, str]:
    """Return what readers call the models, the audit's controls too."""
    own = {model.key: model.label for model in results.models}
    return {"base": "Base model", NEVER_SAW: "Never saw it"} | own


def _example_data(results: RunResults) -> dict[str, Any]:
    """Return what the script shows example by example."""
    return {
        "sets": glossary.SETS,
        "models": [{"key": model.key, "label": model.label} for model in results.models],
        "rows": [
            {
                "set": example.set,
                "id": example.id,
                "question": example.question,
                "reference": example.reference,
                "answers": {key: _answer(answer) for key, answer in example.answers.items()},
            }
            for example in results.examples
        ],
    }


def _answer(answer: dict[str, Any]) -> dict[str, Any]:
    scores = [
        f"{glossary.meaning(name).label} {glossary.number(answer[name])}"
        for name in ("rougeL_recall", "entity_coverage", "perplexity")
        if isinstance(answer.get(name), int | float)
    ]
    if label := answer.get("nli_label"):
        scores.append(str(label))
    return {
        "text": answer["generation"],
        "good": answer["good"],
        "scores": " · ".join(scores),
    }


def _samples(results: RunResults) -> list[dict[str, Any]]:
    """Return the first synthesised rows of every kind, with how many of the kind there are."""
    rows = sorted(results.augmented, key=lambda row: row.kind)
    kinds = []
    for kind, group in groupby(rows, key=lambda row: row.kind):
        members = list(group)
        shown = [row for row in members if row.question][:_SAMPLES_OF_A_KIND]
        kinds.append({"kind": kind, "count": len(members), "rows": shown})
    return kinds


def _rejected(results: RunResults) -> list[dict[str, Any]]:
    """Return the reasons of rejection, each with its count and its first rows."""
    return [
        {
            "reason": reason,
            "count": count,
            "rows": list(
                islice(
                    (row for row in results.rejected if row.reason == reason),
                    _SAMPLES_OF_A_REASON,
                )
            ),
        }
        for reason, count in results.reject_reasons.items()
    ]


def _provenance(manifest: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the manifest as titled lists of name and value."""
    stages = {
        stage: f"{glossary.duration(entry.get('seconds', 0))}, finished {entry.get('finished')}"
        for stage, entry in manifest.get("stages", {}).items()
    }
    peak = manifest.get("peak_memory_bytes")
    host = dict(manifest.get("host", {}))
    if isinstance(host.get("memory_bytes"), int):
        host["memory"] = glossary.size(host.pop("memory_bytes"))
    run = {
        "relearn": manifest.get("relearn"),
        "configuration hash": manifest.get("config_hash"),
        "seed": manifest.get("seed"),
        "peak memory": glossary.size(peak) if peak else None,
    }
    groups = {
        "Run": run, "Host": host, "Versions": manifest.get("versions", {}), "Stages": stages
    }  # fmt: skip
    known = {
        title: [(name, str(value)) for name, value in group.items() if value is not None]
        for title, group in groups.items()
    }
    return [(title, entries) for title, entries in known.items() if entries]
