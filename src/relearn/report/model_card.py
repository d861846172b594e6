"""The model card that lies beside a merged model's weights: figures and provenance, no text."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from relearn.base.storage import write_text
from relearn.report import glossary
from relearn.report.results import RunResults, read_results, visible
from relearn.report.verdict import judge
from relearn.store.embedded import EMBEDDED


def write_model_card(run_folder: Path, model_folder: Path) -> Path:
    """Write `README.md` into `model_folder`, the merged model of a run, and return its path.

    A card travels with the weights, so no question, answer, path or data source is in it.

    Raises:
        UserError: `run_folder` is no run folder, nothing is evaluated in it, or the disk is full.
    """
    results = read_results(run_folder).redacted()
    base = base_model(results)
    front_matter = ModelCardData(
        base_model=base,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["unlearning", "relearn"],
    )
    environment = Environment(
        loader=PackageLoader("relearn.report"),
        # Markdown, not HTML: the card holds nothing but figures and names that we choose below.
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    card = environment.get_template("model_card.md.j2").render(
        front_matter=front_matter.to_yaml(),
        base=base or "a local model",
        method=glossary.METHODS.get(
            results.config.training.objective, results.config.training.objective
        ),
        verdict=judge(results),
        rows=_rows(results),
        manifest=results.manifest,
        seed=results.config.seed,
    )
    path = model_folder / "README.md"
    write_text(path, card)
    return path


def base_model(results: RunResults) -> str | None:
    """Return the base model's name on the hub; None for a local folder or file."""
    name = results.config.model.name
    if name in EMBEDDED:
        return EMBEDDED[name].origin
    is_hub_name = name.count("/") == 1 and not name.startswith((".", "/", "~"))
    return name if is_hub_name and not Path(name).exists() else None


def _rows(results: RunResults) -> list[dict[str, Any]]:
    """Return one row for each figure: set, metric, way that is good, before, after."""
    keys = {key for model in results.models for key in model.metrics}
    rows = []
    for key in sorted(keys, key=glossary.order):
        set_name, _, metric = key.partition("/")
        meaning = glossary.meaning(metric)
        rows.append(
            {
                "set": glossary.SETS.get(set_name, set_name),
                "label": visible(meaning.label),
                "arrow": {"higher": "↑", "lower": "↓", None: ""}[meaning.direction(set_name)],
                "before": glossary.number(results.metric("target", key)),
                "after": glossary.number(results.metric("unlearned", key)),
            }
        )
    return rows
