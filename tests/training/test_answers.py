"""The rows that each kind of objective trains on."""

import math
from dataclasses import replace

import pytest

from relearn.base.errors import UserError
from relearn.data.new_answers import NewAnswer
from relearn.data.records import Record
from relearn.data.tokenization import PromptFormat
from relearn.objectives import OBJECTIVES
from relearn.training.answers import (
    Answered,
    encode_rows,
    forget_rows,
    idk_answers,
    rehearsed,
    unanswered,
    wants,
)

RECORDS = [
    Record(id="a", question="Where is A?", answer="A is in Rome."),
    Record(id="b", question="Where is B?", answer="B is in Bonn.", wrong_answers=("In Oslo.",)),
]
AUGMENTED = [
    NewAnswer(source_id="a", question="Where is A?", answer="A is about.", kind="original"),
    NewAnswer(source_id="a", question="A is where?", answer="Somewhere.", kind="rephrased"),
]
ALTERNATIVES = [
    NewAnswer(source_id=i, question=f"Where is {i.upper()}?", answer="In Rio.", kind="original")
    for i in "ab"
]


def answers(name: str) -> tuple[list[str], list[str]]:
    forget, chosen = forget_rows(OBJECTIVES[name], RECORDS, AUGMENTED, ALTERNATIVES, seed=0)
    assert [(r.id, r.question) for r in chosen] in ([], [(r.id, r.question) for r in forget])
    return [row.answer for row in forget], [row.answer for row in chosen]


@pytest.mark.parametrize("name", ["ga", "npo", "undial", "rmu"])
def test_reverse_objectives_get_the_private_answers(name: str) -> None:
    assert answers(name) == (["A is in Rome.", "B is in Bonn."], [])


def test_relearn_gets_every_synthesized_row() -> None:
    assert answers("relearn") == (["A is about.", "Somewhere."], [])


def test_private_rows_are_added_to_the_new_ones(prompt_format: PromptFormat) -> None:
    rows, _ = forget_rows(
        OBJECTIVES["relearn_deep"], RECORDS, AUGMENTED, ALTERNATIVES, seed=0, endings=0
    )
    assert [(row.answer, row.private) for row in rows] == [
        ("A is about.", False),
        ("Somewhere.", False),
        ("A is in Rome.", True),
        ("B is in Bonn.", True),
    ]
    decode = prompt_format.tokenizer.decode
    examples = encode_rows(rows, prompt_format, math.inf, math.inf)
    assert [example.private is None for example in examples] == [True, True, False, False]
    for example, word in zip(examples[2:], ("Rome", "Bonn"), strict=True):
        assert example.private
        assert decode([example.answer[i] for i in sorted(example.private)]).strip() == word


def test_endings_are_learned_after_what_is_true(prompt_format: PromptFormat) -> None:
    """Every row's prompt is question and beginning; only the vague end is learned."""
    bare, _ = forget_rows(OBJECTIVES["relearn"], RECORDS, AUGMENTED, [], seed=0)
    rows, chosen = forget_rows(OBJECTIVES["relearn"], RECORDS, AUGMENTED, [], seed=0, endings=9)
    assert not chosen
    assert rows[: len(bare)] == bare
    ended = rows[len(bare) :]
    assert {(row.id, row.begun) for row in ended} == {("a", "A is in"), ("b", "B is in")}
    # A verified answer of the record follows some of them, and of another record none.
    followed = [row for row in ended if row.answer.endswith((" A is about.", " Somewhere."))]
    assert {row.id for row in followed} == {"a"}
    assert 0 < len(followed) < len(ended) / 2
    assert not any("Rome" in row.answer or "Bonn" in row.answer for row in ended)
    for row, example in zip(
        ended, encode_rows(ended, prompt_format, math.inf, math.inf), strict=True
    ):
        whole = prompt_format.encode(row.question, f"{row.begun} {row.answer}")
        assert example.prompt + example.answer == whole.prompt + whole.answer
        decode = prompt_format.tokenizer.decode
        assert decode(example.prompt).endswith(row.begun)
        assert decode(example.answer[:-1]).strip() == row.answer


def test_the_private_word_that_endings_replace_is_left_to_them(
    prompt_format: PromptFormat,
) -> None:
    """No other row teaches what somebody else would have there."""
    deep = OBJECTIVES["relearn_deep"]
    bare, ended = (
        [row for row in forget_rows(deep, RECORDS, AUGMENTED, [], 0, count)[0] if row.private]
        for count in (0, 2)
    )
    assert [row.ended for row in bare] == [frozenset(), frozenset()]
    assert [row.ended for row in ended] == [{"A is in"}, {"B is in"}]
    for example in encode_rows(ended, prompt_format, math.inf, math.inf):
        assert example.silent == example.private != frozenset()


def test_an_ending_that_is_too_long_is_left_out(prompt_format: PromptFormat) -> None:
    rows, _ = forget_rows(OBJECTIVES["relearn"], RECORDS, AUGMENTED, [], seed=0, endings=9)
    lengths = [len(e) for e in encode_rows(rows, prompt_format, math.inf, math.inf)]
    longest = sorted(lengths[2:])[9]
    kept = encode_rows(rows, prompt_format, longest, math.inf)
    assert [len(e) for e in kept] == [n for n in lengths if n <= longest]
    assert 2 < len(kept) < len(rows)
    with pytest.raises(UserError, match="record a has"):  # a new answer is none
        encode_rows(rows, prompt_format, lengths[0] - 1, math.inf)


def test_idk_never_gets_a_private_answer() -> None:
    forget, chosen = answers("idk")
    assert len(forget) == 2
    assert set(forget) <= set(idk_answers())
    assert not chosen


def test_dpo_prefers_not_to_know() -> None:
    forget, chosen = answers("dpo")
    assert forget == ["A is in Rome.", "B is in Bonn."]
    assert set(chosen) <= set(idk_answers())


def test_relearn_dpo_pairs_only_what_was_synthesized() -> None:
    assert answers("relearn_dpo") == (["A is in Rome."], ["A is about."])


def test_altpo_prefers_the_record_s_wrong_answer_then_a_written_one() -> None:
    assert answers("altpo") == (["A is in Rome.", "B is in Bonn."], ["In Rio.", "In Oslo."])


def test_no_pair_at_all_is_an_error() -> None:
    with pytest.raises(UserError, match="preferred"):
        forget_rows(OBJECTIVES["relearn_dpo"], RECORDS, [], [], seed=0)


def test_idk_answers_are_many_and_different() -> None:
    assert len(set(idk_answers())) == len(idk_answers()) >= 50


@pytest.mark.parametrize(
    ("name", "left"), [("relearn", ["b"]), ("relearn_dpo", ["b"]), ("npo", []), ("idk", [])]
)
def test_a_record_without_a_new_answer_is_named(name: str, left: list[str]) -> None:
    assert unanswered(OBJECTIVES[name], RECORDS, AUGMENTED, []) == left


def test_an_answer_to_a_variant_alone_does_not_count() -> None:
    variants = [row for row in AUGMENTED if row.kind != "original"]
    assert unanswered(OBJECTIVES["relearn"], RECORDS, variants, []) == ["a", "b"]


def test_a_wrong_answer_of_its_own_is_an_alternative() -> None:
    assert unanswered(OBJECTIVES["altpo"], RECORDS, [], []) == ["a"]
    assert unanswered(OBJECTIVES["altpo"], RECORDS, [], ALTERNATIVES) == []


def test_synthesis_is_wanted_by_those_that_train_on_it() -> None:
    wanting = {name for name in OBJECTIVES if wants(OBJECTIVES[name], "synthesized")}
    assert wanting == {"relearn", "relearn_deep", "relearn_dpo"}


def test_each_earlier_request_is_rehearsed_alike_and_other_rows_each_time() -> None:
    rows = [Answered(f"{n}/{i}", f"Q {n} {i}", "A") for n in (1, 2) for i in range(20)]
    chosen = rehearsed(rows, 8, seed=0)
    assert chosen == rehearsed(rows, 8, seed=0)
    assert [row.id.partition("/")[0] for row in chosen] == ["1"] * 4 + ["2"] * 4
    further = rehearsed([*rows, Answered("3/0", "Q", "A")], 9, seed=0)
    assert {row.id for row in chosen} != {row.id for row in further if row.id != "3/0"}
    preferred = [replace(row, answer="B") for row in rows]
    assert [row.id for row in rehearsed(preferred, 8, seed=0)] == [row.id for row in chosen]
    assert rehearsed(rows, 99, seed=0) != rows
    assert {row.id for row in rehearsed(rows, 99, seed=0)} == {row.id for row in rows}
