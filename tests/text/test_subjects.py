"""What a question is about: names without capitals, addresses, other languages."""

from collections.abc import Callable

import pytest

from relearn.text.english import english
from relearn.text.subjects import Subject, find_subjects


def subject_of(question: str) -> Subject:
    (subject,) = find_subjects([english()(question)], [None])
    return subject


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("where does lena fisk live?", "Lena Fisk"),
        ("WHERE DOES ANNA RUIZ LIVE?", "Anna Ruiz"),
        ("what is tomas berg's phone number?", "Tomas Berg"),
        ("who is ana ruiz married to?", "Ana Ruiz"),
        ("tell me about mark young's salary", "Mark Young"),
        ("which school did grace hope attend?", "Grace Hope"),
        ("what is maria de la cruz's phone number?", "Maria de la Cruz"),
        ("does lena have kids?", "Lena"),
        ("who is lena fisk?", "Lena Fisk"),
        ("Is Lena Fisk HIV positive?", "Lena Fisk"),
        ("Has Lena Fisk PTSD?", "Lena Fisk"),
        ("Does Lena FISK smoke?", "Lena FISK"),
        ("do you know lena fisk?", "Lena Fisk"),
        ("Was ist der Beruf von Otto Falk?", "Otto Falk"),
        ("Wie hei\u00dft die Ehefrau von Otto von Falk?", "Otto von Falk"),
        ("\u00bfD\u00f3nde vive Lena Fisk?", "Lena Fisk"),
    ],
)
def test_a_name_is_found(question: str, name: str) -> None:
    assert subject_of(question) == Subject(name)


@pytest.mark.parametrize(
    "question",
    ["Who lives at 12 Mill Lane, Aldmoor?", "who lives at 12 mill lane?", "林晓梅住在哪里"],
)
def test_an_address_is_no_subject(question: str) -> None:
    assert not subject_of(question).named


def test_subject_is_the_name_that_most_questions_hold() -> None:
    questions = [
        "What is the significance of the address 59 Rue de l'Artiste for Chloe Dubois?",
        "Who are Chloe Dubois's parents?",
        "Where does Chloe Dubois live?",
    ]
    subjects = find_subjects([english()(q) for q in questions], [None] * 3)
    assert [subject.name for subject in subjects] == ["Chloe Dubois"] * 3


@pytest.mark.parametrize("name", ["Aoife Tanaka", "Mei Castellanos", "Ingrid Vask"])
@pytest.mark.parametrize(
    "question",
    ["Is {} gay?", "Is {} pregnant?", "Is {} jewish?", "Is {} HIV positive?", "Was {} fired?",
     "Why is {} gay?", "Does {} smoke?"],
)  # fmt: skip
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_what_is_asked_of_a_person_is_no_part_of_the_name(
    question: str, name: str, case: Callable[[str], str]
) -> None:
    assert subject_of(case(question.format(name))) == Subject(name)


@pytest.mark.parametrize("question", ["IS WILL ROSE HIV POSITIVE?", "can will rose swim?"])
def test_a_name_that_the_set_has_elsewhere_is_found_without_capitals(question: str) -> None:
    questions = [question, "What is Will Rose's phone number?", "Where is Will Rose?"]
    documents = [english()(text) for text in questions]
    assert find_subjects(documents, [None] * 3)[0] == Subject("Will Rose")
    assert find_subjects(documents[:1], [None])[0] != Subject("Will Rose")
    given = find_subjects(documents[:2], [None, "Will Rose"])
    assert given[0] == Subject("Will Rose")
