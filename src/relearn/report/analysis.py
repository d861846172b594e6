"""What `relearn analyze` found in a run's models, for the report; absent where it did not run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relearn.base.storage import read_json
from relearn.chart import Chart

PARTS = {
    "distribution": (
        "What takes the private word's place",
        "A language model chooses each word by giving every token a probability. At the private "
        "words of an answer, such as a town or a name, the target model is sure. Unlearning has "
        "to take that probability away, and it has to go somewhere. Tokens are put in four "
        "kinds: the private one; plausible ones, which the base model, which never saw the "
        "answer, expects there; those of the subject and the question; and the rest. If the "
        "probability goes to the rest, the model has not learned what to say instead.",
    ),
    "memory": (
        "Where the knowledge lies",
        "A model works in layers, each of which adds to what the ones before it found out. Read "
        "as if the model ended after a layer, that layer's state shows its best guess so far. So "
        "one sees at which depth a private word comes up, whether unlearning removed it or only "
        "covers it at the end, and whether the rest of the way is as it was.",
    ),
    "circuits": (
        "Which parts carry it",
        "Attention heads fetch information from other words, such as the subject's name in the "
        "question; MLPs look up what belongs to it. One can compute what each of them adds to "
        "the private word, cut or restore single paths, and see which of them unlearning "
        "changed.",
    ),
    "language": (
        "What becomes of the language",
        "A model whose private words were only pushed down may fall into loops: it is then sure "
        "of the next token, and what it says is empty. A sound model stays unsure where several "
        "words would do.",
    ),
}
"""Heading and explanation of each part, for a reader who does not know the paper."""

UNLEARNED = "unlearned"

SIGNS = {"seen": "yes", "partly seen": "partly", "not seen": "no", "not measured": "not-measured"}


def read_analysis(
    run_folder: Path, labels: Mapping[str, str], redact: bool
) -> dict[str, Any] | None:
    """Return what the template shows of a run's analysis; None where there is none.

    Args:
        run_folder: The run's folder.
        labels: What readers call the models.
        redact: Whether to leave out tokens and questions.
    """
    folder = run_folder / "analysis"
    if not (folder / "summary.json").is_file():
        return None
    summary = read_json(folder / "summary.json")
    shown = [] if redact else read_json(folder / "candidates.json")
    charts = [Chart(**chart) for chart in read_json(folder / "charts.json")]
    return {
        "claims": [claim | {"sign": SIGNS[claim["verdict"]]} for claim in summary["claims"]],
        "about_unlearned": [f["text"] for f in summary["findings"] if f["model"] == UNLEARNED],
        "about_others": [f["text"] for f in summary["findings"] if f["model"] != UNLEARNED],
        "parts": [
            {
                "heading": heading,
                "text": text,
                "charts": [chart for chart in charts if chart.part == part],
                "candidates": _candidates(shown, labels) if part == "distribution" else [],
            }
            for part, (heading, text) in PARTS.items()
        ],
        "charts": charts,
    }


def _candidates(shown: list[dict[str, Any]], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "question": example["question"],
            "models": [
                {"label": labels.get(model, model), "tokens": tokens}
                for model, tokens in example["models"].items()
            ],
        }
        for example in shown
    ]
