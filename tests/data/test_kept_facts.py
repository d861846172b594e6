"""Facts that are asked to be forgotten and to be kept at once."""

import pytest

from relearn.data.kept_facts import kept_facts
from relearn.data.openings import Opening
from relearn.data.records import Record
from relearn.data.sources import load_records

FORGET = [
    Record(id="f1", question="Who is Li Wei?", answer="Li Wei is a writer from Beijing, 1963."),
    Record(id="f2", question="Who is Ida Berg?", answer="Ida Berg is a nurse in Oslo."),
]


def kept(question: str, answer: str) -> list[Record]:
    return [Record(id="k1", question=question, answer=answer)]


@pytest.mark.parametrize(
    ("question", "answer", "found"),
    [
        ("Where was Li Wei born?", "Li Wei was born in Beijing.", "f1"),
        ("Where was LI WEI born?", "In beautiful Beijing's north.", "f1"),
        ("How old is Li Wei?", "Li Wei was born in 1963.", "f1"),
        ("Where does Ida Berg work?", "At a hospital in Oslo.", "f2"),
        # Another's, a word that is no name, what the question says, and a small number.
        ("Where was Ida Berg born?", "Ida Berg was born in Beijing.", ""),
        ("What does Li Wei do?", "Li Wei is a writer.", ""),
        ("Does Li Wei know Beijing?", "Yes, Li Wei knows Beijing well.", ""),
        ("What of Li Wei?", "Li Wei has 19 books.", ""),
        ("Wo wurde Li Wei geboren?", "Li Wei wurde in der Stadt Beijing geboren.", ""),
    ],
)
def test_who_tells_a_hidden_name_or_number_of_the_same_one(
    question: str, answer: str, found: str
) -> None:
    expected = [(found, "k1")] if found else []
    assert kept_facts({"forget": FORGET, "retain": kept(question, answer)}) == {"retain": expected}


def test_what_is_kept_elsewhere_is_not_hidden() -> None:
    asked = kept("Where was Li Wei born?", "Li Wei was born in Beijing.")
    known = kept("What is Li Wei's home?", "Li Wei's home is Beijing.")
    sets = {"forget": FORGET, "retain": known, "retain_unseen": asked}
    assert not kept_facts(sets)["retain_unseen"]
    others = kept("What is Ida Berg's home?", "Ida Berg's home is Beijing.")
    assert kept_facts(sets | {"retain": others})["retain_unseen"]


def test_passages_are_about_nobody() -> None:
    passage = Record(id="p", question=Opening("Li Wei was born in"), answer="Beijing.")
    asked = kept("Where was Li Wei born?", "In the north, in Beijing.")
    assert not kept_facts({"forget": FORGET, "retain": [passage]})["retain"]
    assert not kept_facts({"forget": [passage], "retain": asked})["retain"]


def test_no_unseen_question_of_the_demo_asks_for_what_is_to_be_forgotten() -> None:
    """KnowUnDo itself has such questions: half of what it keeps tells of what it forgets."""
    demo, published = (
        {name: load_records(f"demo:{part}{name}") for name in ("forget", "retain", "retain_unseen")}
        for part in ("", "knowundo_")
    )
    assert not kept_facts(demo)["retain_unseen"]
    assert len(kept_facts(published)["retain"]) > 0.4 * len(published["retain"])
