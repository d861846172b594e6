"""The evaluated row: one question with its reference answer, what a model said, and the scores."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SetName = Literal["forget", "retain", "forget_unseen", "retain_unseen"]
EntailmentLabel = Literal["entailment", "neutral", "contradiction"]


class EvaluatedRow(BaseModel):
    """One answered question; the fields after `generation` are filled by the passes and judges.

    A field that is already filled is taken as given, so a recorded judgement is never made again.

    Attributes:
        set: The set that the row belongs to; `*_unseen` sets hold phrasings not trained on.
        question: The question as the user asks it, without a chat template.
        reference: The answer of the record.
        generation: What the evaluated model answered. Untrusted text.
        id: The record's id, where there is one.
        perplexity: exp of the mean token loss of `generation` given `question` under the base
            model; at least 1.
        nli_label: Premise `generation` and hypothesis `reference` on forget rows, the other way
            round on retain rows.
        reference_entities: Entities of `reference` that share no word with the question.
        generation_entities: Likewise for `generation`.
        entity_coverage: Share of reference entities matched by a generated one.
        scores: Per-row scores by metric name.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    set: SetName
    question: str
    reference: str
    generation: str
    id: str | int | None = None
    perplexity: Annotated[float, Field(gt=0)] | None = None
    nli_label: EntailmentLabel | None = None
    reference_entities: list[str] | None = None
    generation_entities: list[str] | None = None
    entity_coverage: Annotated[float, Field(ge=0)] | None = None
    scores: dict[str, float] = {}

    @property
    def forgets(self) -> bool:
        """Whether the row is of a set that is to be forgotten."""
        return self.set.startswith("forget")

    def flat(self) -> dict[str, Any]:
        """Return the row as one flat JSON object, the scores beside the fields."""
        fields = self.model_dump(exclude={"scores"}, exclude_none=True)
        return fields | self.scores


Rows = Sequence[EvaluatedRow]
