"""Settings of the data: where the records are, and how their columns are called."""

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from relearn.config.section import MOST, Section


class ColumnsConfig(Section):
    """Your names for a record's fields; None means the usual names are tried.

    Attributes:
        id: Column with the record's id.
        question: Column with the question.
        opening: In place of the question: column with the beginning of a text, which the answer
            continues as plain text.
        answer: Column with the answer.
        text: Column with plain text, which is cut into passages.
        subject: Column with the person or thing that the record is about.
        paraphrases: Column with other phrasings of the question.
        paraphrased_answer: Column with the answer in other words.
        wrong_answers: Column with false answers of the same form.
        choices: Column with the choices of a multiple-choice question; the answer is one of them,
            or its letter, or its number counted from 0.
        system: Column with the system message, which must be the same in every row.
    """

    id: str | None = None
    question: str | None = None
    opening: str | None = None
    answer: str | None = None
    text: str | None = None
    subject: str | None = None
    paraphrases: str | None = None
    paraphrased_answer: str | None = None
    wrong_answers: str | None = None
    choices: str | None = None
    system: str | None = None


RunSet = Literal[
    "forget", "retain", "forget_unseen", "retain_unseen", "holdout", "real_authors", "world_facts"
]
RUN_SETS: tuple[RunSet, ...] = get_args(RunSet)
EVALUATED_ONLY: tuple[RunSet, ...] = RUN_SETS[4:]
"""Sets about neither what is to be forgotten nor what is to be kept; no model learns them."""

SetName = Annotated[
    str,
    StringConstraints(pattern=r"^((forget|retain|holdout)(_[a-z0-9]+)*|real_authors|world_facts)$"),
]
"""Name of an evaluated set: one of a run's, or another, such as a benchmark's `forget_level1`. How
it begins says what should happen to what it asks."""


class DataConfig(Section):
    """Where the records come from: a file, a hub dataset, a shipped sample, `-` for standard input.

    `SOURCE#COLUMN=VALUE` takes only the records that have the value in the column.

    Attributes:
        forget: What to forget.
        retain: What to keep.
        forget_unseen: Other questions about what to forget; evaluated, never trained on.
        retain_unseen: Other questions about what to keep; evaluated, never trained on.
        holdout: Records like those to forget that no model has seen, for membership inference.
        real_authors: Questions about well-known authors, for TOFU's model utility.
        world_facts: Questions of general knowledge, for TOFU's model utility.
        only: Of the first four sets, take only records whose question holds one of these texts, in
            any case: such as names; empty takes all.
        split_turns: Make each question of a longer conversation, with its answer, a record of its
            own, which is asked without the turns before it; otherwise such a conversation is
            refused.
        passage_tokens: Length of the passages into which plain text is cut, in tokens of the model.
            A quarter of each is its opening, which the model is given.
        set_columns: Column names for a single set, where they differ from `columns`: by the set's
            name, with the same fields.
    """

    forget: str | None = None
    retain: str | None = None
    forget_unseen: str | None = None
    retain_unseen: str | None = None
    holdout: str | None = None
    real_authors: str | None = None
    world_facts: str | None = None
    only: list[str] = []
    split_turns: bool = False
    passage_tokens: int = Field(160, ge=8, le=MOST)
    columns: ColumnsConfig = ColumnsConfig()
    set_columns: dict[SetName, ColumnsConfig] = {}
