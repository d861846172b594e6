import pytest
from pydantic import ValidationError

from relearn.data.records import Record, normalized, spread_over
from relearn.data.requests import by_request, numbered, request_of


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
        "choices": (),
        "continues": False,
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who is Zo\u00eb?", "  who IS\nZoe\u0308 "),
        ("Where's the e-mail of Lena?", "wheres the email of lena"),
        ("\u201cWho?\u201d", '"Who"'),
        ("\u674e\u4f1f\u4f4f\u5728\u54ea\u91cc\uff1f", "\u674e\u4f1f \u4f4f\u5728\u54ea\u91cc?"),
        ("Who?\u200b", "who"),
        ("\uff37ho?", "Who?"),
    ],
)
def test_case_spaces_and_punctuation_make_no_difference(one: str, other: str) -> None:
    assert normalized(one) == normalized(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who wrote C?", "Who wrote C++?"),
        ("Who wrote C?", "Who wrote C#?"),
        ("What is 1.5?", "What is 15?"),
        ("Who is Zoe?", "Who is Zo\u00eb?"),
        ("?", "!"),
        ("\u0915\u093f", "\u0915"),
    ],
)
def test_what_tells_two_texts_apart_stays(one: str, other: str) -> None:
    assert normalized(one) != normalized(other)


def test_a_validation_error_holds_no_text() -> None:
    with pytest.raises(ValidationError) as caught:
        Record.model_validate({"id": "1", "question": "PRIVATE", "answer": ["PRIVATE"]})
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "most", "expected"),
    [
        ([10, 10], 4, [2, 2]),
        ([1, 10, 10], 9, [1, 4, 4]),
        ([10, 1], 4, [3, 1]),
        ([2, 2], 9, [2, 2]),
        ([3, 3, 3, 3], 2, [1, 0, 1, 0]),
        ([3, 5], None, [3, 5]),
        ([3, 5], 0, [0, 0]),
        ([], 3, []),
    ],
)
def test_each_group_gets_an_equal_share(
    sizes: list[int], most: int | None, expected: list[int]
) -> None:
    groups = [[(place, i) for i in range(size)] for place, size in enumerate(sizes)]
    chosen = spread_over(groups, most)
    assert chosen == sorted(set(chosen))
    assert [sum(place == of for of, _ in chosen) for place in range(len(sizes))] == expected


def test_what_is_chosen_of_a_group_is_spread_over_it() -> None:
    assert spread_over([range(8), range(100, 104)], 6) == [0, 2, 5, 100, 101, 102]


def test_a_numbered_id_says_its_request_whatever_the_id_is() -> None:
    ids = [numbered(12, "a/b"), numbered(2, "7/1"), numbered(12, "c")]
    assert [request_of(id_) for id_ in ids] == [12, 2, 12]
    groups = by_request([record(id_, "Q") for id_ in ids])
    assert [[row.id for row in group] for group in groups] == [["2/7/1"], ["12/a/b", "12/c"]]
