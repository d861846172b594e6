"""An experiment: one configuration run with several seeds, and its figures with intervals."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import t

from relearn.base.distributed import by_leader
from relearn.base.storage import read_json, write_json, write_text
from relearn.config import UNLEARNED, RunConfig
from relearn.run import metrics_by_model, run
from relearn.run_folder import read_manifest

EVALUATED: Mapping[str, str] = {
    "KFR": "forget/kfr",
    "KFR unseen": "forget_unseen/kfr",
    "made up": "forget/hallucination",
    "others' facts": "forget/cross_leak",
    "KRR": "retain/krr",
    "KRR unseen": "retain_unseen/krr",
    "LS forget": "forget/ls",
    "LS retain": "retain/ls",
    "ROUGE-L forget": "forget/rougeL_recall",
    "ROUGE-L retain": "retain/rougeL_recall",
}
"""Figures of the evaluation, by their name in a table."""

ATTACKED: Mapping[str, tuple[str, ...]] = {
    "private word": ("prefix", "private_probability"),
    "leak@16": ("sampling", "leak_at", "16"),
    "relearned": ("relearning", "leak_rate"),
    "depth": ("inside", "depth"),
}
"""Figures of the audit, by their name in a table: where they stand below a model's attacks."""


def reproduce(name: str, config: RunConfig, seeds: Sequence[int], output: Path) -> dict[str, Any]:
    """Run a configuration once for each seed, and collect what comes out.

    The runs are in `output/seed-<seed>`, the figures in `output/results.json`. What was done before
    is not done again, and further seeds may be added.

    Args:
        name: Of the experiment.
        config: Its settings; `memorize.seed` keeps one target model for all seeds.
        seeds: Of the trainings and all else that is random; no two alike.
        output: Folder to write to.

    Returns:
        The content of `results.json`: `experiment`, `seeds`, `hardware`, `versions`, and under
        `models` by model and figure the `mean`, its 95 % `interval` (Student's t over the seeds;
        None for one seed) and the `values`. A figure that was not measured is missing.

    Raises:
        UserError: as `relearn.run.run`.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for seed in seeds:
        folder = output / f"seed-{seed}"
        summary = run(config.model_copy(update={"seed": seed}), folder, keep_going=True)
        for model, figures in _figures(folder, summary).items():
            for figure, value in figures.items():
                found.setdefault(model, {}).setdefault(figure, []).append(value)
    manifest = read_manifest(output / f"seed-{seeds[0]}")
    host = manifest["host"]
    results = {
        "experiment": name,
        "seeds": list(seeds),
        "hardware": {key: host[key] for key in ("cpus", "memory_bytes", "accelerator")},
        "versions": {"relearn": manifest["relearn"], **manifest["versions"]},
        "models": {
            _label(model, config): {name: over_seeds(values) for name, values in figures.items()}
            for model, figures in found.items()
        },
    }
    by_leader(lambda: write_json(output / "results.json", results))
    return results


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean of some seeds' values, its 95 % interval by Student's t, and the values."""
    count, mean = len(values), sum(values) / len(values)
    interval = None
    if count > 1:
        error = (sum((v - mean) ** 2 for v in values) / (count - 1) / count) ** 0.5
        reach = float(t.ppf(0.975, count - 1)) * error
        interval = [mean - reach, mean + reach]
    return {"mean": mean, "interval": interval, "values": list(values)}


def table(results: Mapping[str, Any]) -> str:
    """Return the results as a Markdown table: a row a model, each figure with its half interval."""
    figures = [*EVALUATED, *ATTACKED, "seconds"]
    figures = [f for f in figures if any(f in each for each in results["models"].values())]
    lines = [f"| model | {' | '.join(figures)} |", "|---" * (len(figures) + 1) + "|"]
    for model, values in results["models"].items():
        lines.append(f"| {model} | {' | '.join(_cell(values.get(f), f) for f in figures)} |")
    hardware, seeds = results["hardware"], ", ".join(map(str, results["seeds"]))
    cpus = hardware["cpus"]
    where = hardware["accelerator"] or ("one processor" if cpus == 1 else f"{cpus} processors")
    note = f"Seeds {seeds}; ± half the 95 % interval over them. Seconds of training on {where}."
    return "\n".join([*lines, "", note])


def write_docs(folder: Path, results: Mapping[str, Any]) -> None:
    """Write `results/<experiment>.json`, and the table into `results.md`."""

    def write() -> None:
        write_json(folder / "results" / f"{results['experiment']}.json", results)
        write_into(folder / "results.md", results)

    by_leader(write)


def write_into(page: Path, results: Mapping[str, Any]) -> None:
    """Put the table into a page, in the place of the experiment's last one or at the end."""
    name = results["experiment"]
    begin, end = f"<!-- results of {name} -->", f"<!-- end of {name} -->"
    block = f"{begin}\n{table(results)}\n{end}"
    text = page.read_text(encoding="utf-8") if page.is_file() else "# Results\n"
    old = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if old.search(text):
        text = old.sub(lambda _: block, text)
    else:
        text = f"{text.rstrip()}\n\n## {name}\n\n{block}\n"
    write_text(page, text)


def _figures(folder: Path, summary: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the figures of one run by model."""
    evaluated = metrics_by_model(summary)
    audit = folder / "audit" / "summary.json"
    attacked = read_json(audit)["models"] if audit.is_file() else {}
    found = {}
    for model in [*evaluated, *(each for each in attacked if each not in evaluated)]:
        found[model] = figures_of(evaluated.get(model, {}), attacked.get(model))
        if (seconds := summary["seconds"].get(f"training/{model}")) is not None:
            found[model]["seconds"] = seconds
    return found


def figures_of(
    metrics: Mapping[str, float], attacked: Mapping[str, Any] | None
) -> dict[str, float]:
    """Return a table's figures of one model, those that were measured.

    Args:
        metrics: Of its evaluation.
        attacked: Of its audit, by attack.
    """
    figures = {key: metrics.get(place) for key, place in EVALUATED.items()}
    figures |= {key: _at(attacked, place) for key, place in ATTACKED.items()}
    return {key: value for key, value in figures.items() if value is not None}


def _at(values: Any, place: Sequence[str]) -> Any:
    for key in place:
        values = values.get(key) if values else None
    return values


def _label(model: str, config: RunConfig) -> str:
    objective = config.training.objective
    return objective if model == UNLEARNED and objective not in config.baselines else model


def _cell(value: Mapping[str, Any] | None, figure: str) -> str:
    if value is None:
        return ""
    digits = 0 if figure == "seconds" else 2
    mean = f"{value['mean']:.{digits}f}"
    if value["interval"] is None:
        return mean
    return f"{mean} ± {(value['interval'][1] - value['interval'][0]) / 2:.{digits}f}"
