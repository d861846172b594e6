"""New answers for passages: vague continuations by rules, questions by a language model."""

import pytest

from relearn.config import SynthesisConfig
from relearn.data.openings import Opening
from relearn.data.records import Record
from relearn.evaluation.judges.telling import by_passage
from relearn.evaluation.rows import EvaluatedRow
from relearn.synthesis.backends.base import VARIANT_OF_PASSAGE
from relearn.synthesis.pipeline import original_requests, synthesize, variant_requests
from relearn.synthesis.prompts import Prompts

PASSAGES = [
    Record(
        id="ferry", continues=True,
        question="The ferry at Stellholm had not crossed for nine days.",
        answer="Then Agnes Rudd came down to the slip with her brother's toolbox, and asked "
        "Tobias Kell what he wanted for the boat. They settled on forty crowns.",
    ),
    Record(
        id="log", continues=True,
        question="In the night she read the log by a",
        answer="candle. On the last page somebody had drawn a lantern, and under it the words: "
        "tell Ragna that I kept the light.",
    ),
]  # fmt: skip
ONLY_PASSAGES = {"completion_share": 0, "generic_ratio": 0}


@pytest.mark.parametrize("strategy", ["vague", "refusal", "idk"])
def test_rules_continue_a_passage_and_later_places_of_it_vaguely(strategy: str) -> None:
    config = SynthesisConfig(variants=2, strategy=strategy, **ONLY_PASSAGES)
    result = synthesize(PASSAGES, config, seed=0)
    assert result.summary["records_without_answer"] == []
    assert {row.kind for row in result.accepted} == {"original", VARIANT_OF_PASSAGE}
    whole = {record.id: f"{record.question} {record.answer}" for record in PASSAGES}
    for row in result.accepted:
        assert isinstance(row.question, Opening)
        assert whole[row.source_id].startswith(row.question)
        told = {word.strip(".,:") for word in row.answer.split() if len(word) > 5}
        hidden = whole[row.source_id].removeprefix(row.question)
        assert not told & {word.strip(".,:") for word in hidden.split()}


def test_a_language_model_is_asked_for_questions_about_a_passage_and_for_its_continuation() -> None:
    prompts = Prompts(SynthesisConfig(), seed=0)
    (first, *_) = variant_requests(original_requests(PASSAGES), 2)
    asked = prompts.question(first).user
    assert PASSAGES[0].answer in asked
    assert "passage of a text" in asked
    assert "continue\nthe opening" in prompts.answer(original_requests(PASSAGES)[0]).user
    # The control: a question's private answer is not sent for variants of it.
    question = Record(id="1", question="Where does Lena Fisk live?", answer="In Aldmoor.")
    (variant, *_) = variant_requests(original_requests([question]), 1)
    assert "Aldmoor" not in prompts.question(variant).user
    assert "opening" not in prompts.answer(original_requests([question])[0]).user


def test_a_passage_is_told_by_its_words_in_order() -> None:
    passage = PASSAGES[0]

    def told(generation: str) -> bool | None:
        found = by_passage(
            EvaluatedRow(
                set="forget", question=passage.question, reference=passage.answer,
                generation=generation,
            )
        )  # fmt: skip
        return found.told if found else None

    assert told(passage.answer)
    assert told(passage.answer[:100])
    assert not told("Agnes Rudd went home, and Tobias Kell never saw her again.")
    row = EvaluatedRow(set="forget", question="Who?", reference="Ida.", generation="Ida.")
    assert by_passage(row) is None
