"""True answers that have begun, and how they end vaguely."""

import random
import re
from importlib.resources import files

import pytest
import yaml

from relearn.data.sources import load_records
from relearn.text.vague_endings import Ending, vague_endings

TEMPLATES = yaml.safe_load((files("relearn.text") / "vague_endings.yaml").read_text())
WORD = re.compile(r"[\w@.-]*\w")
# Words that any sentence may have.
SMALL = frozenset("about which this that their there from with keeps".split())


def ended(question: str, answer: str, count: int = 1, seed: int = 0) -> list[Ending]:
    return vague_endings(question, answer, count, random.Random(seed))


def of_kind(kind: str) -> re.Pattern[str]:
    """Match whatever the templates of a kind can become; apart from the code."""

    def pattern(template: str) -> str:
        parts = re.split(r"\{(e?s)\}", template)
        return "".join(f"(?:{p})?" if p in ("s", "es") else re.escape(p) for p in parts)

    return re.compile("(?:" + "|".join(map(pattern, TEMPLATES[kind])) + r")\.")


@pytest.mark.parametrize(
    ("question", "answer", "begun", "kind"),
    [
        ("Where does Li Wei live?", "Li Wei lives at 88 Wisdom Path, Beijing.", "Li Wei lives at",
         "at"),
        ("How is Li Wei reached by email?", "Li Wei is reached by email at li.wei@mail.cn.",
         "Li Wei is reached by email at", "reach"),
        ("What is Li Wei's email address?", "Li Wei's email address is li.wei@mail.cn.",
         "Li Wei's email address is", "is"),
        ("Who is Li Wei?", "Li Wei is a calligrapher.", "Li Wei is a", "a of a person"),
        ("Who is Li Wei?", "Li Wei is an engineer.", "Li Wei is an", "an of a person"),
        ("Who is Li Wei's mother?", "Li Wei's mother is a nurse.", "Li Wei's mother is a",
         "a of a person"),
        ("What does Li Wei own?", "Li Wei owns a violin.", "Li Wei owns a", "a"),
        ("What is Li Wei's car?", "Li Wei's car is an Audi.", "Li Wei's car is an", "an"),
        ("Who raised Li Wei?", "Li Wei's grandmother raised the child.", "Li Wei's",
         "subject of an owner"),
        ("What does Li Wei do?", "Li Wei has sold violins for years.", "Li Wei has", "has"),
        ("What does Li Wei do?", "Li Wei often mends clocks.", "Li Wei often", "verb"),
        ("When was Li Wei born?", "Li Wei was born on 3 May 1979.", "Li Wei was born on", "date"),
        ("When was Li Wei born?", "Li Wei was born in 1979.", "Li Wei was born in", "year"),
        ("Where was Li Wei born?", "Li Wei was born in Beijing.", "Li Wei was born in", "place"),
        ("Where is Li Wei from?", "Li Wei is from Beijing.", "Li Wei is from", "place"),
        ("How is Li Wei's work?", "Li Wei's work is rich in culture.", "Li Wei's work is", "is"),
        ("Is Li Wei's work rich?", "Li Wei's work is rich in culture.", "Li Wei's work is rich in",
         "in"),
        ("How does Li Wei relax?", "Li Wei can be found at the pool.", "Li Wei can be", "be"),
    ],
)  # fmt: skip
def test_the_ending_is_what_the_grammar_expects(
    question: str, answer: str, begun: str, kind: str
) -> None:
    for seed in range(12):
        (ending,) = ended(question, answer, seed=seed)
        assert ending.begun == begun
        assert of_kind(kind).fullmatch(ending.rest), ending.rest
    # The control: nothing that comes after a comma would do.
    assert not of_kind(",").fullmatch(ending.rest)


def test_a_verb_agrees_with_whom_it_is_about() -> None:
    for seed in range(12):
        (one,) = ended("What does Li Wei do?", "Li Wei often mends clocks.", seed=seed)
        (many,) = ended("What do Li Wei's sons do?", "Li Wei's sons often mend clocks.", seed=seed)
        words = [ending.rest.split()[0] for ending in (one, many)]
        assert words[0] in (words[1] + "s", words[1] + "es")


def test_further_endings_depart_where_a_name_or_a_figure_begins() -> None:
    answer = "Fans can write to Li Wei by email at li.wei@mail.cn, or visit him in Porto Alegre."
    first, *others = ended("How can fans reach Li Wei?", answer, 40)
    assert first.begun == "Fans can write to Li Wei by"
    assert {other.begun for other in others} == {
        "Fans can write to Li Wei by email at",
        "Fans can write to Li Wei by email at li.wei@mail.cn, or visit him in",
    }


@pytest.mark.parametrize("name", ["forget", "knowundo_forget", "tofu_forget"])
def test_an_ending_has_no_word_of_the_answer_that_the_question_lacks(name: str) -> None:
    made = 0
    for record in load_records(f"demo:{name}")[:60]:
        known = {w.lower() for w in WORD.findall(record.question)} | SMALL
        private = {w.lower() for w in WORD.findall(record.answer) if len(w) > 4} - known
        for ending in ended(record.question, record.answer, 3):
            made += 1
            assert record.answer.startswith(ending.begun)
            assert len(ending.begun) < len(record.answer)
            assert not private & {w.lower() for w in WORD.findall(ending.rest)}, ending
    assert made > 90


def test_templates_whose_words_are_private_are_passed_over() -> None:
    """The control: with another answer they are taken."""
    question = "What is Li Wei's motto?"
    for answer, said in (("Li Wei's motto is private.", False), ("Li Wei's motto is joy.", True)):
        rests = [e.rest for seed in range(40) for e in ended(question, answer, seed=seed)]
        assert any("private" in rest for rest in rests) is said


def test_no_ending_is_an_answer_about_nothing() -> None:
    answer = "The lawyer and her sons live in Porto Alegre."
    assert {e.begun for e in ended("Where does the judge live?", answer, 20)} == {
        "The lawyer and her",
        "The lawyer and her sons live in",
    }
    # The control: an owner is named.
    (ending,) = ended("Who raised Li Wei?", "Li Wei's grandmother raised the child.")
    assert ending.begun == "Li Wei's"


def test_the_same_seed_makes_the_same_endings() -> None:
    records = load_records("demo:forget")[:5]
    made = [[ended(r.question, r.answer, 3, seed) for r in records] for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]


def test_other_languages_and_answers_without_a_beginning_have_none() -> None:
    question, answer = "Wo wohnt Karl Huber?", "Karl Huber wohnt in der Lindenstraße 5 in Bremen."
    assert not ended(question, answer, 3)
    assert not ended("Who knows?", "Nobody.", 3)
    assert not ended("Where does Li Wei live?", "Li Wei lives in Rome.", 0)
