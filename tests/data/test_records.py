import pytest
from pydantic import ValidationError

from relearn.data.records import Record, check_disjoint
from relearn.errors import UserError


def record(id_: str, question: str, answer: str = "Yes.") -> Record:
    return Record(id=id_, question=question, answer=answer)


def test_outer_space_is_cut_off() -> None:
    assert record("1", " Who?\n", "\tShe. ").model_dump() == {
        "id": "1",
        "question": "Who?",
        "answer": "She.",
        "subject": None,
        "paraphrases": (),
        "paraphrased_answer": None,
        "wrong_answers": (),
    }


@pytest.mark.parametrize("field", ["id", "question", "answer", "subject"])
@pytest.mark.parametrize("bad", ["", " \n", "half a pair \ud800", 3])
def test_bad_text_is_refused(field: str, bad: object) -> None:
    good = {"id": "1", "question": "Who?", "answer": "She."}
    with pytest.raises(ValidationError):
        Record.model_validate({**good, field: bad})


def test_blank_paraphrases_and_wrong_answers_are_refused() -> None:
    for field in ("paraphrases", "wrong_answers"):
        with pytest.raises(ValidationError):
            Record.model_validate({"id": "1", "question": "Q", "answer": "A", field: ["x", " "]})


def test_record_survives_its_dump() -> None:
    original = Record(id="1", question="Q", answer="A", subject="S", wrong_answers=("B", "C"))
    assert Record.model_validate_json(original.model_dump_json()) == original


def test_sets_that_share_no_question_are_disjoint() -> None:
    check_disjoint([record("f", "Where does she live?")], [record("r", "Who is she?")])


@pytest.mark.parametrize("again", ["Who is Zoë?", "  who IS\nZoë? ", "Who is Zoe\u0308?"])
def test_question_in_both_sets_is_refused_with_both_ids(again: str) -> None:
    with pytest.raises(UserError, match=r"record f2 stands in the retain set too, as r1 \(1 such"):
        check_disjoint(
            [record("f1", "Other?"), record("f2", "Who is Zoë?")], [record("r1", again, "No.")]
        )
