import pytest

from relearn.base.errors import UserError
from relearn.data.checks import check_sets
from relearn.data.records import Record

SETS = ("forget", "retain", "forget_unseen", "retain_unseen")


def records(name: str, *pairs: tuple[str, str]) -> list[Record]:
    return [
        Record(id=f"{name}-{i}", question=question, answer=answer)
        for i, (question, answer) in enumerate(pairs, 1)
    ]


def distinct() -> dict[str, list[Record]]:
    return {name: records(name, (f"Who is {name}?", f"A {name}.")) for name in SETS}


def test_sets_that_share_nothing_pass_without_a_note() -> None:
    assert check_sets(distinct()) == []


@pytest.mark.parametrize("first", SETS)
@pytest.mark.parametrize("second", SETS)
def test_any_two_sets_that_share_a_question_are_refused_with_the_ids(
    first: str, second: str
) -> None:
    if first == second:
        return
    sets = distinct()
    sets[second] += records("again", (f"  who IS \u201c{first}\u201d", "PRIVATE"))
    with pytest.raises(UserError, match="in 1 record") as caught:
        check_sets(sets)
    message = str(caught.value)
    assert f"{first}-1" in message
    assert "again-1" in message
    assert "who" not in message.casefold()


def test_many_shared_questions_are_counted_and_three_are_named() -> None:
    forget = records("forget", *((f"Q {i}?", f"A {i}") for i in range(5)))
    with pytest.raises(UserError) as caught:
        check_sets({"forget": forget, "forget_unseen": list(reversed(forget))})
    assert str(caught.value).startswith(
        "the forget and forget_unseen sets ask the same in 5 records (forget-1 and forget-1, "
        "forget-2 and forget-2, forget-3 and forget-3 and 2 more): an unseen question is one"
    )


def test_repetitions_and_other_answers_are_told() -> None:
    forget = records("f", ("Who?", "She."), ("who", "she"), ("Who?", "He."), ("Where?", "There."))
    assert check_sets({"forget": forget}) == [
        "forget: records that repeat another and weigh double: f-2 and f-1",
        "forget: records with the same question, another answer: f-3 and f-1",
    ]


def test_an_answer_that_is_to_be_forgotten_and_kept_is_told() -> None:
    forget = records("f", ("Where?", "In Aldmoor, at 12 Harrow Lane."), ("Old?", "Yes."))
    retain = records("r", ("Which place?", "in Aldmoor at 12 Harrow Lane"), ("New?", "Yes."))
    assert check_sets({"forget": forget, "retain": retain}) == [
        "the same answer is to be forgotten and to be kept: f-1 and r-1"
    ]


def test_an_earlier_request_may_be_repeated_but_not_kept() -> None:
    sets = distinct() | {"forget_earlier": records("1/old", ("Who was it?", "A person."))}
    assert check_sets(sets) == []
    again = sets | {"forget": records("new", ("Who was it?", "A person."))}
    assert check_sets(again) == []
    kept = sets | {"retain": records("kept", ("Who was it?", "A person."))}
    with pytest.raises(UserError, match=r"1/old-1.*to be forgotten can't be kept"):
        check_sets(kept)
