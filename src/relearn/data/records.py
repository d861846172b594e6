"""The record: one question and its answer, validated once and then trusted."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, field_validator

from relearn.errors import UserError


class Record(BaseModel):
    """One piece of knowledge as question and answer.

    Attributes:
        id: Unique within its set.
        question: What is asked; never empty.
        answer: What the target model answers; never empty.
        subject: Whom or what the record is about, where known.
        paraphrases: Other phrasings of the question.
        wrong_answers: Answers of the same form that are false.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    question: str
    answer: str
    subject: str | None = None
    paraphrases: tuple[str, ...] = ()
    wrong_answers: tuple[str, ...] = ()

    @field_validator("question", "answer")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is empty")
        return text.strip()


def check_disjoint(forget: Sequence[Record], retain: Sequence[Record]) -> None:
    """Refuse a retain set that asks what shall be forgotten.

    Raises:
        UserError: a forget record's question stands in the retain set too.
    """
    retained = {_folded(record.question): record.id for record in retain}
    for record in forget:
        if (other := retained.get(_folded(record.question))) is not None:
            raise UserError(
                f"forget record {record.id} stands in the retain set too, as {other}.",
                "Take it out of one of the two.",
            )


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
