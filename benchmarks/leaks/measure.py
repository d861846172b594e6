"""One measurement: planted records through synthesis, every text that it accepts read again."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.leaks.checker import asks_too_much, names, tells
from benchmarks.leaks.planted import Planted, planted
from relearn.config import SynthesisConfig
from relearn.data.new_answers import NewAnswer
from relearn.data.records import Record
from relearn.synthesis.pipeline import synthesize


@dataclass(frozen=True)
class Measured:
    """What came of planted records.

    Attributes:
        records: How many by kind of their secret.
        answers: New answers that were accepted.
        variants: Variants of questions that were accepted.
        leaks: Texts that tell a secret, each with the record and what it tells.
        unanswered: Records whose own question got no answer, with the reasons and their number.
    """

    records: Counter[str]
    answers: int
    variants: int
    leaks: list[tuple[Planted, str, str]]
    unanswered: list[tuple[Planted, Counter[str]]]

    @property
    def texts(self) -> int:
        """Answers and variants."""
        return self.answers + self.variants

    def __add__(self, other: "Measured") -> "Measured":
        return Measured(*(a + b for a, b in zip(self._parts(), other._parts(), strict=True)))

    def _parts(self) -> tuple:
        return self.records, self.answers, self.variants, self.leaks, self.unanswered

    def __str__(self) -> str:
        return (
            f"{self.records.total()} records, {self.answers} answers, {self.variants} variants, "
            f"{len(self.leaks)} leaks, {len(self.unanswered)} records without an answer"
        )

    def lines(self, shown: int) -> Iterator[str]:
        """Yield the figures by kind, and the first leaks and unanswered records."""
        leaks = Counter(one.kind for one, _, _ in self.leaks)
        unanswered = Counter(one.kind for one, _ in self.unanswered)
        for kind, count in self.records.items():
            yield f"{kind:24}{count:6} records{leaks[kind]:6} leaks{unanswered[kind]:6} unanswered"
        yield str(self)
        for one, text, what in self.leaks[:shown]:
            yield f"LEAK {what}: {one.question} {one.answer} -> {text}"
        for one, reasons in self.unanswered[:shown]:
            yield f"UNANSWERED {one.question} {one.answer}: {reasons.most_common(3)}"


def measure(count: int, seed: int, variants: int = 4) -> Measured:
    """Synthesize for so many planted records and read what was accepted.

    An answer that names its subject may tell no secret of any record about it.
    """
    by_id = {str(i): one for i, one in enumerate(planted(count, seed))}
    records = [Record(id=i, question=one.question, answer=one.answer) for i, one in by_id.items()]
    config = SynthesisConfig(variants=variants, generic_ratio=0, completion_share=0)
    result = synthesize(records, config, seed)
    asked = {row.question for row in result.accepted if row.kind != "original"}
    reasons: dict[str, Counter[str]] = {i: Counter() for i in by_id}
    for row in result.rejected:
        reasons[row.source_id][row.reason] += 1
    return Measured(
        Counter(one.kind for one in by_id.values()),
        len(result.accepted),
        len(asked),
        list(_leaks(by_id, result.accepted)),
        [(by_id[i], reasons[i]) for i in result.summary["records_without_answer"]],
    )


def _leaks(
    by_id: dict[str, Planted], accepted: list[NewAnswer]
) -> Iterator[tuple[Planted, str, str]]:
    of_subject: dict[str, list[Planted]] = {}
    for one in by_id.values():
        of_subject.setdefault(one.subject, []).append(one)
    for row in accepted:
        own = by_id[row.source_id]
        for one in of_subject[own.subject]:
            if one is not own and (one.polar or not names(one.subject, row.answer)):
                continue  # it says nothing of anybody
            if what := tells(one, row.answer):
                yield one, row.answer, what if one is own else f"another record's {what}"
        if row.kind != "original" and (what := asks_too_much(own, row.question)):
            yield own, row.question, f"in a question, {what}"
