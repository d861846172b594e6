"""From a forget set to a verified training set of new answers."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, islice
from typing import Any, Self

from spacy.tokens import Doc

from relearn.base.errors import UserError
from relearn.base.progress import progress_bar
from relearn.config import SynthesisConfig
from relearn.data.new_answers import NewAnswer, Rejected
from relearn.data.openings import Opening
from relearn.data.records import Record, normalized
from relearn.inference.embeddings import embedder
from relearn.llm import LLMS, Journal
from relearn.synthesis.backends import BACKENDS, Failure, Request
from relearn.synthesis.backends.base import VARIANT_OF_PASSAGE
from relearn.synthesis.blocks import Block, FinishedBlocks
from relearn.synthesis.chunks import sentence_chunks
from relearn.synthesis.completion import completion_rows
from relearn.synthesis.diversity import distinct_n, self_bleu
from relearn.synthesis.fluency import Fluency
from relearn.synthesis.lengths import TooLong
from relearn.synthesis.mixing import Answerer, generic_rows
from relearn.synthesis.replies import speaks_of_itself
from relearn.synthesis.secrets import Secrets, find_secrets, leaked, quoted
from relearn.synthesis.shared_secrets import SharedSecrets
from relearn.synthesis.statements import find_statement, restated, unspeakable
from relearn.synthesis.verification import (
    RELEVANT_FROM,
    RELEVANT_FROM_STATED,
    malformed,
    malformed_question,
    names_subject,
    near_duplicate,
    paraphrases,
)
from relearn.text.english import english
from relearn.text.languages import language_of
from relearn.text.subjects import UNNAMED, Subject, find_subjects

# The paper's kinds of question variants (arXiv 2502.11190), in the order in which a
# record gets them.
VARIANT_KINDS = ("context", "rephrased", "noisy", "logical")

# Records that are served together. What is at work for one, some 20 KiB, is held for so many at a
# time, however large the set.
_BLOCK = 1000

# What a round verifies: requests and candidates to the reason against each, "" for none.
Verify = Callable[[Sequence[Request], Sequence[str]], list[str]]


@dataclass(frozen=True)
class SynthesisResult:
    """What synthesis made; nothing that was tried is missing from both lists.

    Attributes:
        accepted: New answers to the records' questions and their variants.
        rejected: Candidates that were not used, with the reason.
        pairs: `source_id`, `question`, `chosen` (a new answer) and `rejected` (the private one).
        summary: Counts by kind and reason, records whose own question got no answer, diversity,
            seconds.
        completions: Rows of kind `completion`, one for each of `accepted` that is long enough.
        generic: Rows of kind `generic`.
    """

    accepted: list[NewAnswer]
    rejected: list[Rejected]
    summary: dict[str, Any]
    completions: list[NewAnswer] = field(default_factory=list)
    generic: list[NewAnswer] = field(default_factory=list)
    pairs: list[dict[str, str]] = field(default_factory=list)

    @property
    def augmented(self) -> list[NewAnswer]:
        """All rows to train on."""
        return [*self.accepted, *self.completions, *self.generic]


def synthesize(
    records: Sequence[Record],
    config: SynthesisConfig,
    seed: int,
    *,
    journal: Journal | None = None,
    answer: Answerer | None = None,
    fluency: Fluency | None = None,
    too_long: TooLong | None = None,
    reserved: Collection[str] = (),
    finished: FinishedBlocks | None = None,
) -> SynthesisResult:
    """Write question variants, and for each question, original or variant, a new answer.

    Every candidate is verified; a failed one is asked for again with the reason, at most
    `config.attempts` times. A large set is served in blocks. What is written for one does not
    depend on what was written for those before, and tells nothing that a record of any hides.
    Source: arXiv 2502.11190

    Args:
        records: The forget set.
        config: Backend, strategy and amounts.
        seed: Fixes the backend's choices.
        journal: Keeps what a language model writes; a job that is done again asks it nothing twice.
        answer: How the target model answers, for `config.self_distilled`.
        fluency: Perplexity under the base model, for `config.max_perplexity`.
        too_long: What is wrong with a row's length; None lets rows be of any length.
        reserved: Questions that no variant may repeat, such as those kept for evaluation.
        finished: Keeps the blocks that are done; a job that is done again does the others.

    Raises:
        UserError: the backend can't work, or a setting names nothing.
    """
    began = time.perf_counter()
    if config.self_distilled and answer is None:
        raise UserError("synthesis.self_distilled needs the target model.", "Name it or leave it.")
    if config.max_perplexity and fluency is None:
        raise UserError("synthesis.max_perplexity needs the base model.", "Name it or leave it.")
    any_length = too_long or (lambda question, answer, more: "")
    job = _Job(records, config, seed, journal, fluency, any_length, reserved)
    with progress_bar("synthesizing") as advance:
        starts = range(0, len(records), _BLOCK)
        steps = 2 * len(starts) + 1
        blocks: list[Block] = []
        for number, start in enumerate(starts):
            block = finished.get(number) if finished else None
            if block is None:
                requests = job.requests[start : start + _BLOCK]
                advance(2 * number, steps, "questions")
                variants = job.begin(requests).variants(requests)
                advance(2 * number + 1, steps, "answers")
                block = job.answer([*requests, *variants])
                if finished:
                    finished.add(number, block)
            blocks.append(block)
        advance(steps - 1, steps, "mixing")
        accepted = sorted(
            (row for block in blocks for row in block.accepted),
            key=lambda row: job.order[row.source_id],
        )
        completions = completion_rows(accepted, config.completion_share)
        generic = generic_rows(
            round(config.generic_ratio * (len(accepted) + len(completions))),
            config.generic,
            seed,
            answer if config.self_distilled else None,
            {normalized(record.question) for record in records},
            job.too_long,
        )
        advance(steps, steps, "")
    private = {(r.record.id, r.chunk): r.passage for r in job.passages(job.requests)}
    pairs = [
        {
            "source_id": row.source_id,
            "question": row.question,
            "chosen": row.answer,
            "rejected": private[row.source_id, row.chunk],
        }
        for row in accepted
    ]
    rejected = [row for block in blocks for row in block.rejected]
    result = SynthesisResult(accepted, rejected, {}, completions, generic, pairs)
    summary = job.summary(result) | {
        "leak_checks": sum(block.checks for block in blocks),
        "seconds": round(time.perf_counter() - began, 2),
    }
    return replace(result, summary=summary)


@dataclass(frozen=True)
class _Candidate:
    request: Request
    text: str
    scores: dict[str, float]


class _Job:
    def __init__(
        self,
        records: Sequence[Record],
        config: SynthesisConfig,
        seed: int,
        journal: Journal | None,
        fluency: Fluency | None,
        too_long: TooLong,
        reserved: Collection[str],
    ) -> None:
        self.config = config
        self.fluency = fluency
        self.too_long = too_long
        self.reserved = frozenset(map(normalized, reserved))
        self.make_backend = partial(BACKENDS.named(config.backend), config, seed, journal)
        self.backend = self.make_backend()
        self.order = {record.id: i for i, record in enumerate(records)}
        self.requests = original_requests(records)
        self.shared = SharedSecrets(_hidden(self.requests))

    def begin(self, block: Sequence[Request]) -> Self:
        """Work for these records from now on, and drop what was at work for those before."""
        self.made = Block()
        # A language model stays loaded, and remembers nothing.
        if self.config.backend not in LLMS:
            self.backend = self.make_backend()
        # Found once more: those of all records would take the memory that blocks save.
        self.secrets: dict[str, Secrets] = {
            record.id: found for record, _, _, found in _hidden(block)
        }
        self.questions = {r.record.id: [r.question] for r in block}
        self.answers: dict[str, list[str]] = {r.record.id: [] for r in block}
        return self

    def variants(self, questions: Sequence[Request]) -> list[Request]:
        """Write the variants; return those that passed as questions to be answered."""
        passed: list[Request] = []

        def verify(requests: Sequence[Request], texts: Sequence[str]) -> list[str]:
            reasons = []
            for request, text in zip(requests, texts, strict=True):
                known = self.questions[request.record.id]
                # A question may be about anything, in any words but the answer's.
                secrets = self.secrets[request.record.id]
                reason = ""
                if not request.of_passage:  # of which a prompt may say what is known
                    reason = leaked(secrets, text, invents=True) or quoted(secrets, text)
                if not isinstance(text, Opening):
                    reason = reason or malformed_question(text, request.record.question)
                reason = reason or self.too_long(text, "", 0)
                if not reason and normalized(text) in self.reserved:
                    reason = "is a question of another set"
                if not reason and near_duplicate(text, known):
                    reason = "is a near-duplicate"
                if not reason:
                    known.append(text)
                    passed.append(replace(request, question=text, attempt=0, feedback=""))
                reasons.append(reason)
            return reasons

        wanted = variant_requests(questions, self.config.variants)
        self._rounds(wanted, self.backend.questions, verify, "question")
        return passed

    def passages(self, questions: Sequence[Request]) -> list[Request]:
        """Return a request for each question and chunk of its private answer."""
        return answer_requests(questions, self.config.chunk_words)

    def answer(self, questions: Sequence[Request]) -> Block:
        """Write a verified answer to each question; return all that was made for the records."""

        def verify(requests: Sequence[Request], texts: Sequence[str]) -> list[str]:
            reasons = [
                request.objection(text) or request.too_long(text)
                for request, text in zip(requests, texts, strict=True)
            ]
            asked = [i for i, reason in enumerate(reasons) if not reason]
            cosines = embedder("minilm").similarities(
                [requests[i].question for i in asked], [texts[i] for i in asked]
            )
            candidates = {
                i: _Candidate(requests[i], texts[i], {"similarity": round(float(cosine), 4)})
                for i, cosine in zip(asked, cosines, strict=True)
            }
            for check in (_besides, self._unlikely, self._paraphrased, self._objected):
                passed = [i for i in candidates if not reasons[i]]
                found = check([candidates[i] for i in passed])
                for i, reason in zip(passed, found, strict=True):
                    reasons[i] = reason
            for i, candidate in candidates.items():
                reasons[i] = reasons[i] or self._accept(candidate)
            return reasons

        wanted = [
            replace(
                request,
                objection=partial(self._objection, request),
                too_long=partial(self._too_long, request),
            )
            for request in self.passages(questions)
        ]
        self._rounds(wanted, self.backend.answers, verify, "answer")
        return self.made

    def _objection(self, request: Request, text: str) -> str:
        """Return what the rules have against the words of an answer, "" for nothing."""
        # An alternative has the private answer's own form, and may affirm what was asked.
        invents = self.config.strategy == "alternative"
        reason = leaked(self.secrets[request.record.id], text, invents=invents) or malformed(text)
        reason = reason or self.shared.told(request.record.id, request.subject, text)
        if not reason and not invents:
            reason = restated(request.statement, text)
        if not reason and speaks_of_itself(text):
            reason = "speaks of the task"
        return reason

    def _too_long(self, request: Request, text: str) -> str:
        return self.too_long(request.question, text, 0)

    def _unlikely(self, candidates: Sequence[_Candidate]) -> list[str]:
        """Return what the base model has against each; the perplexity joins the scores."""
        bound = self.config.max_perplexity
        if not (bound and self.fluency and candidates):
            return [""] * len(candidates)
        perplexities = self.fluency(
            [c.request.question for c in candidates], [c.text for c in candidates]
        )
        for candidate, perplexity in zip(candidates, perplexities, strict=True):
            candidate.scores["perplexity"] = round(perplexity, 2)
        return ["is no fluent language" if value > bound else "" for value in perplexities]

    def _paraphrased(self, candidates: Sequence[_Candidate]) -> list[str]:
        """Return which say the private answer in other words; that needs to have read it."""
        blind = self.config.backend == "rules"  # what is near to it there is the question's
        if blind or self.config.strategy == "alternative" or not candidates:
            return [""] * len(candidates)
        cosines = embedder("minilm").similarities(
            [c.request.passage for c in candidates], [c.text for c in candidates]
        )
        # The embedding model knows English only.
        return [
            "says the private answer in other words"
            if language_of(c.request.record.question) == "en"
            and paraphrases(float(cosine), c.scores["similarity"])
            else ""
            for c, cosine in zip(candidates, cosines, strict=True)
        ]

    def _objected(self, candidates: Sequence[_Candidate]) -> list[str]:
        """Return what the backend's language model has against each."""
        return self.backend.objections(
            [c.request for c in candidates], [c.text for c in candidates]
        )

    def _accept(self, candidate: _Candidate) -> str:
        known = self.answers[candidate.request.record.id]
        if near_duplicate(candidate.text, known):
            return "is a near-duplicate"
        known.append(candidate.text)
        about = _origin(candidate.request)
        self.made.accepted.append(NewAnswer(**about, answer=candidate.text, **candidate.scores))
        return ""

    def _rounds(
        self,
        wanted: Sequence[Request],
        write: Callable[[Sequence[Request]], Sequence[str | Failure]],
        verify: Verify,
        field: str,
    ) -> None:
        """Ask for all, verify all, and ask again for what failed, with the reason."""
        pending = list(wanted)
        for attempt in range(self.config.attempts or self.backend.attempts):
            if not pending:
                return
            written = list(zip(pending, write(pending), strict=True))
            # Where nothing came, the backend has tried again itself.
            self.made.rejected += [
                Rejected(**_origin(r), reason=text.reason)
                for r, text in written
                if isinstance(text, Failure)
            ]
            candidates = [(r, text) for r, text in written if isinstance(text, str)]
            if not candidates:
                return
            pending = [r for r, _ in candidates]
            texts = [text for _, text in candidates]
            self.made.checks += len(texts)
            reasons = verify(pending, texts)
            failed = [x for x in zip(pending, texts, reasons, strict=True) if x[2]]
            self.made.rejected += [
                Rejected(**_origin(r) | {field: text}, reason=why) for r, text, why in failed
            ]
            pending = [replace(r, attempt=attempt + 1, feedback=why) for r, _, why in failed]

    def summary(self, result: SynthesisResult) -> dict[str, Any]:
        """Return counts and diversity; see `SynthesisResult`."""
        answers = [row.answer for row in result.accepted]
        answered = {row.source_id for row in result.accepted if row.kind == "original"}
        return {
            "backend": self.config.backend,
            "strategy": self.config.strategy,
            "records": len(self.order),
            "accepted": len(result.accepted),
            "rejected": len(result.rejected),
            "kinds": dict(Counter(row.kind for row in result.augmented)),
            "reasons": dict(Counter(row.reason for row in result.rejected)),
            "records_without_answer": [id_ for id_ in self.order if id_ not in answered],
            "distinct_1": round(distinct_n(answers, 1), 4),
            "distinct_2": round(distinct_n(answers, 2), 4),
            "self_bleu": round(self_bleu(answers), 4),
            "mean_similarity": round(
                sum(row.similarity or 0 for row in result.accepted) / max(len(answers), 1), 4
            ),
        }


def _hidden(requests: Sequence[Request]) -> Iterator[tuple[Record, Doc, Subject, Secrets]]:
    """Yield what each record hides, with its parsed answer and its subject."""
    answers = english().pipe(request.record.answer for request in requests)
    for request, answer in zip(requests, answers, strict=True):
        record, subject = request.record, request.subject
        yield record, answer, subject, find_secrets(answer, record.question, subject)


def _besides(candidates: Sequence[_Candidate]) -> list[str]:
    """Return which answers miss their subject or their question."""
    return [_missed(candidate) for candidate in candidates]


def _missed(candidate: _Candidate) -> str:
    request = candidate.request
    # Then it can neither name anybody nor have the question's words; nor is anybody asked for by a
    # passage, which may be about many.
    if unspeakable(request.statement, request.subject) or request.of_passage:
        return ""
    if not names_subject(candidate.text, request.subject):
        return "does not name the subject"
    # The embedding model knows English only.
    least = RELEVANT_FROM_STATED if request.statement.tells else RELEVANT_FROM
    if candidate.scores["similarity"] < least and language_of(request.record.question) == "en":
        return "is not about the question"
    return ""


def original_requests(records: Sequence[Record]) -> list[Request]:
    """Return a request for each record's own question."""
    questions = english().pipe(str(record.question) for record in records)
    subjects = find_subjects(questions, [record.subject for record in records])
    requests = []
    for record, subject in zip(records, subjects, strict=True):
        asked = Request(record, subject, record.question, "original", record.answer)
        if asked.of_passage:
            asked = replace(asked, subject=Subject(UNNAMED, named=False))
        else:
            asked = replace(asked, statement=find_statement(record.question, subject))
        requests.append(asked)
    return requests


def variant_requests(requests: Sequence[Request], variants: int) -> list[Request]:
    """Return a request for so many variants of each question, kind after kind."""
    kinds = list(enumerate(islice(cycle(VARIANT_KINDS), variants)))
    return [
        replace(request, kind=VARIANT_OF_PASSAGE, sample=i, samples=variants)
        if request.of_passage
        else replace(request, kind=kind, sample=i // len(VARIANT_KINDS))
        for request in requests
        for i, kind in kinds
    ]


def answer_requests(questions: Sequence[Request], chunk_words: int) -> list[Request]:
    """Return a request for each question and chunk of its private answer."""
    return [
        replace(request, passage=chunk, chunk=number)
        for request in questions
        for number, chunk in enumerate(sentence_chunks(request.record.answer, chunk_words))
    ]


def _origin(request: Request) -> dict[str, Any]:
    """Return the fields of a row that tell what was asked for."""
    return {
        "source_id": request.record.id,
        "source_question": request.record.question,
        "question": request.question,
        "kind": request.kind,
        "chunk": request.chunk,
    }
