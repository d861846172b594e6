"""Texts about somebody else than they are about."""

import pytest

from relearn.text.other_subject import about_others


def test_the_name_and_its_parts_are_exchanged_and_nothing_else() -> None:
    told = (
        "Where did Carla Winter grow up?",
        "Winter grew up in Winterthur; Carla's father, Otto Winter, had a shop there.",
    )
    (other,) = about_others([told], [None], seed=0)
    assert other is not None
    question, answer = other
    name = question.removeprefix("Where did ").removesuffix(" grow up?")
    first, last = name.split()
    assert answer == (
        f"{last} grew up in Winterthur; {first}'s father, Otto {last}, had a shop there."
    )


def test_neighbours_get_different_names_which_no_text_has() -> None:
    told = [("Who is Anna Bergstrom?", "A nurse."), ("Where is Otto Falk?", "With David.")] * 3
    others = about_others(told, [None] * 6, seed=1)
    questions = [other[0] for other in others if other]
    assert len(set(questions)) == 6
    assert not any("Anna" in question or "David" in question for question in questions)
    assert about_others(told, [None] * 6, seed=1) == others
    assert about_others(told, [None] * 6, seed=2) != others


@pytest.mark.parametrize("question", ["What is the capital of France?", "Why?"])
def test_a_question_that_names_nobody_stays_alone(question: str) -> None:
    assert about_others([(question, "Paris.")], [None], seed=0) == [None]


def test_a_known_subject_is_taken() -> None:
    told = ("What did the Nordlicht Foundation pay?", "It paid 40,000 euros.")
    (other,) = about_others([told], ["Nordlicht Foundation"], seed=0)
    assert other is not None
    assert "Nordlicht" not in other[0] + other[1]
    assert other[1] == told[1]
