"""From a forget set to a verified training set of new answers."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

from relearn.config import SynthesisConfig
from relearn.data.records import Record
from relearn.evaluation.judges.similarity import embedder
from relearn.language import english
from relearn.progress import progress_bar
from relearn.synthesis.backends import BACKENDS, Request
from relearn.synthesis.subject import find_subjects
from relearn.synthesis.verification import (
    RELEVANT_FROM,
    Secrets,
    find_secrets,
    leaked,
    malformed,
    names_subject,
    near_duplicate,
)

# The paper's kinds of question variants (arXiv 2502.11190), in the order in which a
# record gets them.
VARIANT_KINDS = ("context", "rephrased", "noisy", "logical")


@dataclass(frozen=True)
class SynthesisResult:
    """What synthesis made; nothing that was tried is missing from both lists.

    Attributes:
        accepted: `source_id`, `source_question`, `question`, `answer`, `kind`, `similarity`.
        rejected: The same with `reason`, and without what was not yet there.
        summary: Counts by kind and reason, records without any answer, diversity, seconds.
    """

    accepted: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    summary: dict[str, Any]


def synthesize(records: Sequence[Record], config: SynthesisConfig, seed: int) -> SynthesisResult:
    """Write question variants, and for each question, original or variant, a vague answer.

    Every candidate is verified; a failed one is asked for again with the reason, at most
    `config.attempts` times. Source: arXiv 2502.11190

    Args:
        records: The forget set.
        config: Backend and amounts.
        seed: Fixes the backend's choices.
    """
    start = time.perf_counter()
    job = _Job(records, config, seed)
    with progress_bar("synthesizing") as advance:
        originals = job.originals()
        advance(1, 3, "questions")
        variants = job.variants()
        advance(2, 3, "answers")
        job.answer([*originals, *variants])
        advance(3, 3, "")
    job.accepted.sort(key=lambda row: job.order[row["source_id"]])
    return SynthesisResult(job.accepted, job.rejected, job.summary(time.perf_counter() - start))


class _Job:
    def __init__(self, records: Sequence[Record], config: SynthesisConfig, seed: int) -> None:
        self.config = config
        self.backend = BACKENDS.named(config.backend)(seed)
        self.order = {record.id: i for i, record in enumerate(records)}
        questions = list(english().pipe([record.question for record in records]))
        answers = english().pipe([record.answer for record in records])
        subjects = find_subjects(records, questions)
        self.requests = [
            Request(record, subject, record.question, "original")
            for record, subject in zip(records, subjects, strict=True)
        ]
        self.secrets: dict[str, Secrets] = {
            record.id: find_secrets(answer, record.question, subject)
            for record, answer, subject in zip(records, answers, subjects, strict=True)
        }
        self.questions: dict[str, list[str]] = {r.id: [r.question] for r in records}
        self.answers: dict[str, list[str]] = {r.id: [] for r in records}
        self.checks = 0
        self.accepted: list[dict[str, Any]] = []
        self.rejected: list[dict[str, Any]] = []

    def originals(self) -> list[Request]:
        """Return the records' own questions."""
        return self.requests

    def variants(self) -> list[Request]:
        """Write the variants; return those that passed as questions to be answered."""
        kinds = list(islice(cycle(VARIANT_KINDS), self.config.variants))
        wanted = [replace(r, kind=kind) for r in self.requests for kind in kinds]
        passed: list[Request] = []

        def verify(requests: Sequence[Request], texts: Sequence[str]) -> list[str]:
            reasons = []
            for request, text in zip(requests, texts, strict=True):
                known = self.questions[request.record.id]
                reason = leaked(self.secrets[request.record.id], text)
                if not reason and near_duplicate(text, known):
                    reason = "is a near-duplicate"
                if not reason:
                    known.append(text)
                    passed.append(replace(request, question=text, attempt=0, feedback=""))
                reasons.append(reason)
            return reasons

        self._rounds(wanted, self.backend.questions, verify, "question")
        return passed

    def answer(self, questions: Sequence[Request]) -> None:
        """Write a verified answer to each question."""

        def verify(requests: Sequence[Request], texts: Sequence[str]) -> list[str]:
            cosines = embedder("minilm").similarities([r.question for r in requests], texts)
            reasons = []
            for request, text, cosine in zip(requests, texts, cosines, strict=True):
                known = self.answers[request.record.id]
                reason = leaked(self.secrets[request.record.id], text) or malformed(text)
                if not reason and not names_subject(text, request.subject):
                    reason = "does not name the subject"
                if not reason and cosine < RELEVANT_FROM:
                    reason = "is not about the question"
                if not reason and near_duplicate(text, known):
                    reason = "is a near-duplicate"
                if not reason:
                    known.append(text)
                    row = _row(request, answer=text)
                    self.accepted.append(row | {"similarity": round(float(cosine), 4)})
                reasons.append(reason)
            return reasons

        self._rounds(questions, self.backend.answers, verify, "answer")

    def _rounds(
        self,
        wanted: Sequence[Request],
        write: Callable[[Sequence[Request]], list[str]],
        verify: Callable[[Sequence[Request], Sequence[str]], list[str]],
        field: str,
    ) -> None:
        """Ask for all, verify all, and ask again for what failed, with the reason."""
        pending = list(wanted)
        for attempt in range(self.config.attempts):
            if not pending:
                return
            texts = write(pending)
            self.checks += len(texts)
            reasons = verify(pending, texts)
            failed = [x for x in zip(pending, texts, reasons, strict=True) if x[2]]
            self.rejected += [_row(r, **{field: t}) | {"reason": why} for r, t, why in failed]
            pending = [replace(r, attempt=attempt + 1, feedback=why) for r, _, why in failed]

    def summary(self, seconds: float) -> dict[str, Any]:
        """Return counts and diversity."""
        answered = {row["source_id"] for row in self.accepted}
        answers = [row["answer"] for row in self.accepted]
        return {
            "backend": self.config.backend,
            "records": len(self.order),
            "accepted": len(self.accepted),
            "rejected": len(self.rejected),
            "kinds": dict(Counter(row["kind"] for row in self.accepted)),
            "reasons": dict(Counter(row["reason"] for row in self.rejected)),
            "records_without_answer": [id_ for id_ in self.order if id_ not in answered],
            "distinct_1": round(distinct_n(answers, 1), 4),
            "distinct_2": round(distinct_n(answers, 2), 4),
            "mean_similarity": round(
                sum(row["similarity"] for row in self.accepted) / max(len(answers), 1), 4
            ),
            "leak_checks": self.checks,
            "seconds": round(seconds, 2),
        }


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Return the share of different n-grams of words among all, 0 to 1.

    Source: Li et al. 2016, A Diversity-Promoting Objective Function (arXiv 1510.03055).
    """
    grams = [
        tuple(words[i : i + n])
        for words in (text.lower().split() for text in texts)
        for i in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


def _row(request: Request, **texts: str) -> dict[str, Any]:
    return {
        "source_id": request.record.id,
        "source_question": request.record.question,
        "question": request.question,
        **texts,
        "kind": request.kind,
    }
