"""The whole analysis, from models and questions to tables, figures and sentences in a folder."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from relearn.analysis.analyze import AnalysisSettings, analyze
from relearn.analysis.charts import charts
from relearn.analysis.findings import Claim, Conclusion, claims, findings
from relearn.analysis.inputs import AnalysisInputs
from relearn.analysis.observe import Tables
from relearn.analysis.summary import summarize
from relearn.base.distributed import by_leader, together
from relearn.base.extras import present
from relearn.base.private import private_files
from relearn.base.progress import note
from relearn.base.storage import write_json, write_text
from relearn.chart import UNDRAWN, Chart

_SHOWN_PROMPTS = 3


@private_files()
def run_analysis(
    inputs: AnalysisInputs, output: Path, settings: AnalysisSettings | None = None
) -> dict[str, Any]:
    """Analyse models and write everything to `output`; what is there already is not done again.

    Returns:
        The content of `summary.json`: `target`, `models`, `figures` by model, `claims`,
        `findings`.

    Raises:
        UserError: see `relearn.analysis.analyze.analyze`.
    """
    found: list[dict[str, Any]] = []

    def work() -> None:
        tables = analyze(inputs, output, settings or AnalysisSettings())
        found.append(by_leader(lambda: _write(inputs, tables, output)))

    together(work)
    return found[0]


def _write(inputs: AnalysisInputs, tables: Tables, output: Path) -> dict[str, Any]:
    """Write what the tables show, and return the summary."""
    models = [model.name for model in inputs.models]
    figures = summarize(tables, models)
    judged = claims(figures, inputs.models)
    said = findings(figures, inputs.models)
    drawn = charts(tables, figures, models)
    _draw(drawn, models, output / "figures")
    write_json(output / "charts.json", [chart.as_json() for chart in drawn])
    write_json(output / "candidates.json", shown_candidates(tables, inputs))
    conclusions = {
        "claims": [asdict(claim) for claim in judged],
        "findings": [asdict(finding) for finding in said],
    }
    write_json(output / "findings.json", conclusions)
    write_text(output / "findings.md", _markdown(judged, said))
    summary = {"target": models[0], "models": models, "figures": figures} | conclusions
    # Written last: where it exists, the analysis is complete.
    write_json(output / "summary.json", summary)
    return summary


def _draw(charts: list[Chart], models: list[str], folder: Path) -> None:
    if not present("report"):
        note(UNDRAWN)
        return
    from relearn.drawing import write_files

    write_files(charts, {model: model for model in models}, folder)


def shown_candidates(tables: Tables, inputs: AnalysisInputs) -> list[dict[str, Any]]:
    """Return some keys of the forget set with every model's likeliest tokens, for the report.

    The keys are those, one a question, where the target is surest of the private token. Untrusted
    and private text.
    """
    questions = {r.id: r.question for r in inputs.sets["forget"]}
    tokens = tables["tokens"]
    target = tokens["model"] == inputs.models[0].name
    keys = tokens[target & tokens["key"] & (tokens["set"] == "forget")]
    surest = keys.sort_values("log_prob", ascending=False).drop_duplicates("id")
    candidates = tables["candidates"]
    shown = []
    for key in surest.head(_SHOWN_PROMPTS).itertuples():
        here = (candidates["id"] == key.id) & (candidates["place"] == key.place)
        rows: pd.DataFrame = candidates[here & (candidates["set"] == "forget")]
        shown.append(
            {
                "question": questions[key.id],
                "models": {
                    str(model): [
                        {"text": row.text, "probability": float(row.probability),
                         "private": row.token == key.token}
                        for row in of_model.itertuples()
                    ]
                    for model, of_model in rows.groupby("model", sort=False)
                },
            }
        )  # fmt: skip
    return shown


def _markdown(judged: list[Claim], said: list[Conclusion]) -> str:
    lines = ["# What the analysis found", "", *(f"- {finding.text}" for finding in said), ""]
    lines += ["## The paper's three mechanistic claims (arXiv 2502.11190, section 5.2)", ""]
    for claim in judged:
        lines += [f"### {claim.name}: {claim.verdict}", "", claim.text, "", claim.evidence]
        lines += ["", f"Rule: {claim.rule}", ""]
    return "\n".join(lines)
