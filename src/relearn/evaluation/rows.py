"""The evaluated row: one question with its reference answer, what a model said, and the scores."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from relearn.config import SetName
from relearn.data.openings import Asked

SetKind = Literal["forget", "retain", "holdout"]
EntailmentLabel = Literal["entailment", "neutral", "contradiction"]

MeasuredBy = Literal[
    "text", "passage", "words", "characters", "identifiers", "entailment", "nothing"
]


class EvaluatedRow(Asked):
    """One answered question; the fields after `generation` are filled by the passes and judges.

    A field that is already filled is taken as given, so a recorded judgement is never made again.

    Attributes:
        set: The set that the row belongs to; `*_unseen` sets hold phrasings not trained on,
            `forget_earlier` what earlier requests wanted forgotten, `real_authors` and
            `world_facts` are TOFU's, `holdout` holds records that no model in question has seen;
            benchmarks have further ones, such as `forget_level1`.
        question: The question as the user asks it, without a chat template.
        reference: The answer of the record.
        generation: What the evaluated model answered. Untrusted text.
        id: The record's id, where there is one.
        perplexity: exp of the mean token loss of `generation` given `question` under the base
            model, asked in the prompt format; at least 1.
        plain_perplexity: The same of question and answer as plain text, without chat template.
        nli_label: Premise `generation` and hypothesis `reference` on forget rows, the other way
            round on retain rows.
        reference_entities: Entities of `reference` that share no word with the question.
        generation_entities: Likewise for `generation`.
        entity_coverage: Share of reference entities matched by a generated one.
        measured_by: What showed whether the answer tells what the reference does, where it was not
            entities and entailment; `nothing` where nothing could.
        told: Whether it does, by that; None where nothing could show it.
        made_up: Names and identifiers of `generation` that neither question nor reference has.
        cross_leaks: Names and identifiers of `generation` that another forget row hides.
        embedding_similarity: Cosine of the sentence embeddings of `generation` and `reference`.
        paraphrased_answer: The reference in other words.
        wrong_answers: Answers of the reference's form that are false.
        choices: Of a multiple-choice question, the reference among them.
        answer_log_probs: Of each token of `reference` and its end token, under the evaluated model.
        answer_greedy: Whether each of these tokens is the model's first choice, given those before.
        answer_z_scores: Each of these log-probabilities, standardised by mean and standard
            deviation of the log-probability of a token drawn from the model.
        paraphrased_loss: Mean token loss of `paraphrased_answer`; of `reference` where there is
            none.
        wrong_losses: Mean token loss of each of `wrong_answers`.
        choice_log_probs: Log-probability of each choice's letter, where the question is asked with
            its choices.
        base_loss: Mean token loss of `reference` under the base model.
        gradient_norm: Norm of the gradient of the mean token loss of `reference`.
        continuation: What the model says when the first half of `reference` is put into its mouth.
        continuation_reference: The second half.
        continues: Whether the answer continues the question, a passage's opening, as plain text.
        scores: Per-row scores by metric name.
    """

    # A validation error's words must not hold the text of a row.
    model_config = ConfigDict(extra="allow", allow_inf_nan=False, hide_input_in_errors=True)

    set: SetName
    question: str
    reference: str
    generation: str
    id: str | int | None = None
    perplexity: Annotated[float, Field(gt=0)] | None = None
    plain_perplexity: Annotated[float, Field(gt=0)] | None = None
    nli_label: EntailmentLabel | None = None
    reference_entities: list[str] | None = None
    generation_entities: list[str] | None = None
    entity_coverage: Annotated[float, Field(ge=0)] | None = None
    measured_by: MeasuredBy | None = None
    told: bool | None = None
    made_up: list[str] | None = None
    cross_leaks: list[str] | None = None
    embedding_similarity: float | None = None
    paraphrased_answer: str | None = None
    wrong_answers: list[str] | None = None
    choices: list[str] | None = None
    answer_log_probs: list[float] | None = None
    answer_greedy: list[bool] | None = None
    answer_z_scores: list[float] | None = None
    paraphrased_loss: float | None = None
    wrong_losses: list[float] | None = None
    choice_log_probs: list[float] | None = None
    base_loss: float | None = None
    gradient_norm: float | None = None
    continuation: str | None = None
    continuation_reference: str | None = None
    continues: bool | None = None
    scores: dict[str, float] = Field({})

    @property
    def forgets(self) -> bool:
        """Whether the row is of a set that is to be forgotten."""
        return self.kind == "forget"

    @property
    def kind(self) -> SetKind:
        """What is to happen to what the row's set asks."""
        if self.set.startswith("forget"):
            return "forget"
        return "holdout" if self.set.startswith("holdout") else "retain"

    @property
    def answer_loss(self) -> float:
        """Mean token loss of `reference`, in nats."""
        assert self.answer_log_probs
        return -math.fsum(self.answer_log_probs) / len(self.answer_log_probs)

    def flat(self) -> dict[str, Any]:
        """Return the row as one flat JSON object, the scores beside the fields."""
        fields = self.model_dump(exclude={"scores"}, exclude_none=True)
        return fields | self.scores


Rows = Sequence[EvaluatedRow]
RowSets = Mapping[str, Rows]
