"""Rates the answers of a file by a language model: what `relearn judge rate` does."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from relearn.base.errors import UserError
from relearn.base.private import private_files
from relearn.base.storage import write_jsonl
from relearn.config import EvaluationConfig
from relearn.evaluation.generations_file import read_generations
from relearn.evaluation.judges.votes import ASPECTS, rate, summarize
from relearn.llm import Journal, make_llm


@private_files()
def rate_file(
    generations: Path,
    output: Path,
    aspects: Sequence[str] | None,
    config: EvaluationConfig,
    votes: int,
) -> dict[str, dict[str, float | int]]:
    """Rate the answers in `generations` and write the votes to `output`, one JSON object a line.

    Every vote is kept in `output` and `.journal` until all are there, so that none is asked for
    twice if the job is killed.

    Args:
        generations: As for `relearn evaluate`.
        output: To be written: the rows, and of each aspect `<aspect>`, the mean vote,
            `<aspect>_votes`, `<aspect>_spread`, and `<aspect>_failed`, the unreadable votes.
        aspects: Of `ASPECTS`; None or none for relevance and fluency of every row, forgetting of
            the forget sets' and retention of the retain sets'.
        config: The language model.
        votes: On each answer and aspect.

    Returns:
        By set and aspect what `summarize` says.

    Raises:
        UserError: bad input, no such aspect, or no vote could be had.
    """
    for name in aspects or ():
        if name not in ASPECTS:
            raise UserError(f"no aspect is called {name!r}.", f"Known: {', '.join(ASPECTS)}.")
    if output.is_dir():
        raise UserError(f"{output} is a folder.", "Name a file for --output.")
    rows = read_generations(generations)
    llm = make_llm(config.backend, config.llm)
    found: list[dict[str, Any]] = [row.flat() for row in rows]
    summaries = {}
    path = output.with_name(f"{output.name}.journal")
    path.parent.mkdir(parents=True, exist_ok=True)
    with Journal(path) as journal:
        for name, aspect in product(dict.fromkeys(row.set for row in rows), ASPECTS):
            other = "retention" if name.startswith("forget") else "forgetting"
            if aspect not in (aspects or ASPECTS.keys() - {other}):
                continue
            of_set = [i for i, row in enumerate(rows) if row.set == name]
            ratings = rate([rows[i] for i in of_set], aspect, llm, votes=votes, journal=journal)
            summaries[f"{name}/{aspect}"] = summarize(ratings)
            for i, rating in zip(of_set, ratings, strict=True):
                found[i] |= {
                    aspect: rating.mean,
                    f"{aspect}_votes": list(rating.votes),
                    f"{aspect}_spread": rating.spread,
                    f"{aspect}_failed": rating.failed,
                }
    write_jsonl(output, found)
    path.unlink()
    return summaries
