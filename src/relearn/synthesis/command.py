"""`relearn.synthesize`: verified new answers for a forget set."""

import os
from pathlib import Path
from typing import Any

from relearn.base.extensions import load_extensions
from relearn.base.progress import note
from relearn.base.workspace import ResultFolder
from relearn.config import ModelConfig, RunConfig, config_from_keywords
from relearn.data.checks import check_sets
from relearn.data.records import Record
from relearn.data.sources import Source, load_sets
from relearn.models.loading import model_folder, tokenizer_named
from relearn.synthesis.checks import check_synthesis, refuse_neighbours, reserved_questions
from relearn.synthesis.fluency import fluency
from relearn.synthesis.folder import synthesize_into
from relearn.synthesis.mixing import answerer
from relearn.synthesis.pipeline import SynthesisResult


def synthesize(
    forget: Source,
    *,
    retain: Source | None = None,
    backend: str | None = None,
    llm: str | None = None,
    base_url: str | None = None,
    model: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> SynthesisResult:
    """Write verified new answers for a forget set, as `relearn synthesize` does.

    Args:
        forget: What to forget: a file, a dataset's name, a `datasets.Dataset` or
            `IterableDataset`, or a list of dicts.
        retain: What is kept: no new question may repeat one of its questions.
        backend: What writes the text: `rules`, `openai`, `transformers` or `vllm`.
        llm: Language model of the backend.
        base_url: URL of an OpenAI-compatible endpoint. The forget set is sent there.
        model: The model that is to forget, where a setting needs it.
        output: Folder of the files, with the journal by which a killed synthesis asks nothing
            twice; None writes to a temporary folder, which is deleted at the end.
        config: A YAML file or the name of a recipe.
        **settings: Settings of the synthesis (`variants=2`), or as in `relearn.unlearn`.

    Returns:
        New answers, what was rejected and why, and counts; `augmented` is the training set.

    Raises:
        UserError: bad settings, data or folder; nothing is computed or sent in these cases.
        UnansweredError: nothing passed the verification.
    """
    named = {
        "synthesis.backend": backend,
        "synthesis.llm.model": llm,
        "synthesis.llm.base_url": base_url,
        "model.name": model,
    }
    chosen = config_from_keywords(config, settings, named, "synthesis")
    load_extensions(chosen.extensions)
    sets, base = synthesis_sets(chosen, forget, retain)
    folder = ResultFolder(output)
    return run_synthesis(chosen, sets, base, folder.path)


def synthesis_sets(
    settings: RunConfig, forget: Source, retain: Source | None = None
) -> tuple[dict[str, list[Record]], ModelConfig]:
    """Load the forget set, and the other sets, whose questions no variant may repeat.

    Args:
        settings: Say where the other sets are, and what columns are called.
        forget: What to forget.
        retain: What is kept; None means the settings' own, if there is one.

    Returns:
        The records by set; and how the model is asked, see `load_sets`.

    Raises:
        UserError: a set can't be read, or two sets ask the same.
    """
    others = settings.data.model_dump(include={"retain", "forget_unseen", "retain_unseen"})
    sources: dict[str, Source] = {name: source for name, source in others.items() if source}
    if retain is not None:
        sources["retain"] = retain
    sets, base = load_sets(
        {"forget": forget} | sources, settings.data, settings.model, tokenizer_named
    )
    for line in check_sets(sets):
        note(line)
    return sets, base


def run_synthesis(
    settings: RunConfig, sets: dict[str, list[Record]], base: ModelConfig, output: Path
) -> SynthesisResult:
    """Write new answers for sets that are loaded to the folder `output`; see `synthesize`."""
    records, config = sets["forget"], settings.synthesis
    refuse_neighbours(config)
    check_synthesis(config, settings.seed, records)
    return synthesize_into(
        output,
        records,
        config,
        settings.seed,
        answer=answerer(model_folder(base.name), base) if config.self_distilled else None,
        fluency=fluency(model_folder(base.name), base) if config.max_perplexity else None,
        reserved=reserved_questions(sets),
        model=base,
    )
