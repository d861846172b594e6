"""Ratings from 1 to 5 by a language model: repeated votes, strictly read, with their agreement."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, pstdev
from typing import TypeVar

from relearn.evaluation.judges.prompts import render
from relearn.evaluation.rows import EvaluatedRow
from relearn.llm import Journal, LanguageModel, Prompt, ask

T = TypeVar("T")

# What can be rated, by the prompt's name; 5 is best on each. The paper's relevance and fluency are
# rated alike by GPT-4o (arXiv 2502.11190).
ASPECTS = {
    "relevance": "Whether the answer is to the question, true or not.",
    "fluency": "Whether the answer is good language, true or not.",
    "forgetting": "Whether what the reference tells is gone from the answer.",
    "retention": "Whether the answer still tells what the reference does.",
}
_SCORE = re.compile(r"(?:score\s*:\s*)?([1-5])(?:\s*/\s*5)?\.?", re.IGNORECASE)


@dataclass(frozen=True)
class Rating:
    """The votes on one answer.

    Attributes:
        votes: Those that could be read, 1 to 5 each.
        failed: How many could not, however often they were asked for.
    """

    votes: tuple[int, ...]
    failed: int

    @property
    def mean(self) -> float | None:
        """Mean vote, 1 to 5; None without any."""
        return fmean(self.votes) if self.votes else None

    @property
    def spread(self) -> float | None:
        """Standard deviation of the votes, 0 to 2; None without any."""
        return pstdev(self.votes) if self.votes else None


def read_score(text: str) -> int | None:
    """Return the vote that an answer casts: `Score: 4`, `4` or `4/5`; None for anything else."""
    match = _SCORE.fullmatch(text.strip().strip("*\"'` \n"))
    return int(match[1]) if match else None


def rate(
    rows: Sequence[EvaluatedRow],
    aspect: str,
    llm: LanguageModel,
    *,
    votes: int = 3,
    attempts: int = 3,
    journal: Journal | None = None,
) -> list[Rating]:
    """Rate every row's generation on one aspect.

    Args:
        rows: Whose `question`, `reference` and `generation` are shown, as the aspect needs them.
        aspect: One of `ASPECTS`.
        llm: Who votes.
        votes: Votes on each row.
        attempts: How often a vote that can't be read is asked for before it counts as failed.
        journal: Of earlier answers; a vote in it is not asked for again.

    Returns:
        A rating for each row.

    Raises:
        UserError: no vote could be had: a refused key, an unknown model.
    """

    def prompt(vote: int, attempt: int) -> Prompt:
        row = rows[vote // votes]
        texts = {"question": row.question, "reference": row.reference, "answer": row.generation}
        return render(aspect, texts, sample=attempt * votes + vote % votes)

    cast = ask_until_read(
        len(rows) * votes, prompt, read_score, llm, attempts=attempts, journal=journal, title=aspect
    )
    ratings = []
    for start in range(0, len(cast), votes):
        read = tuple(vote for vote in cast[start : start + votes] if vote is not None)
        ratings.append(Rating(read, votes - len(read)))
    return ratings


def ask_until_read(
    count: int,
    prompt: Callable[[int, int], Prompt],
    read: Callable[[str], T | None],
    llm: LanguageModel,
    *,
    attempts: int,
    journal: Journal | None,
    title: str,
) -> list[T | None]:
    """Ask `count` things; what can't be read is asked again as another sample, all in one round.

    Args:
        count: How many answers are wanted.
        prompt: From an index and the number of earlier attempts to the prompt.
        read: What an answer means; None if it can't be read.
        llm: Who answers.
        attempts: Rounds at most.
        journal: Of earlier answers.
        title: Of the progress bar.

    Returns:
        What was read; None where no attempt could be.
    """
    found: list[T | None] = [None] * count
    for attempt in range(attempts):
        missing = [i for i, value in enumerate(found) if value is None]
        if not missing:
            break
        answers = ask(llm, [prompt(i, attempt) for i in missing], journal, title)
        for i, answer in zip(missing, answers, strict=True):
            found[i] = None if answer.error else read(answer.text)
    return found


def summarize(ratings: Sequence[Rating]) -> dict[str, float | int]:
    """Return mean, counts and agreement of the votes of many rows.

    `mean`: of the rows' mean votes, 1 to 5. `unanimous`: share of the rows with two votes or more
    whose votes are all the same. `alpha`: Krippendorff's, see `krippendorff_alpha`. `failed`:
    votes that could not be read. `rated`: rows with a vote. What can't be computed is left out.
    """
    rated = [rating for rating in ratings if rating.votes]
    several = [rating for rating in rated if len(rating.votes) > 1]
    summary: dict[str, float | int] = {
        "rows": len(ratings), "rated": len(rated), "failed": sum(r.failed for r in ratings),
    }  # fmt: skip
    if rated:
        summary["mean"] = fmean(fmean(rating.votes) for rating in rated)
    if several:
        summary["unanimous"] = fmean(len(set(rating.votes)) == 1 for rating in several)
    alpha = krippendorff_alpha([rating.votes for rating in several])
    return summary if alpha is None else summary | {"alpha": alpha}


def krippendorff_alpha(units: Sequence[Sequence[int]]) -> float | None:
    """Return Krippendorff's alpha for interval data (Krippendorff 2011, Computing alpha).

    One minus the mean squared difference of votes on the same unit over that of votes on any two,
    each unit's pairs weighted by 1 / (votes - 1): 1 is perfect agreement, 0 that of chance, below
    that is worse. None without two votes that could differ.
    """
    units = [unit for unit in units if len(unit) > 1]
    counts = Counter(vote for unit in units for vote in unit)
    total = counts.total()
    expected = sum(counts[a] * counts[b] * (a - b) ** 2 for a, b in combinations(counts, 2)) / (
        total * (total - 1) / 2 or 1
    )
    if not expected:
        return None
    within = sum(
        2 * sum((a - b) ** 2 for a, b in combinations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    return 1 - within / total / expected
