"""The model card that lies beside a merged model's weights: figures and provenance, no text."""

import html
import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from relearn.base.storage import write_text
from relearn.base.visible import visible
from relearn.report import glossary
from relearn.report.results import RunResults, read_results
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
    environment = Environment(  # nosec B701
        loader=PackageLoader("relearn.report"),
        autoescape=False,  # noqa: S701  # `_plain` escapes, for Markdown too
        finalize=_plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    card = environment.get_template("model_card.md.j2").render(
        # YAML escapes in its own way.
        front_matter=Markup(front_matter.to_yaml()),  # noqa: S704  # nosec B704
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


def _plain(value: Any) -> Any:
    """Escape what a name could say in Markdown or HTML; `Markup` is ours and stays as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = " ".join(visible(value).split())
    return html.escape(re.sub(r"([\\`*\[\]|])", r"\\\1", text), quote=False)


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
                "label": meaning.label,
                "arrow": {"higher": "↑", "lower": "↓", None: ""}[meaning.direction(set_name)],
                "before": glossary.number(results.metric("target", key)),
                "after": glossary.number(results.metric("unlearned", key)),
            }
        )
    return rows
