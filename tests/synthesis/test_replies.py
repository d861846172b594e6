"""Preambles are cut off, and talk about the task is told from an answer."""

import pytest

from relearn.synthesis.replies import plain_reply, speaks_of_itself

ANSWER = "Mia Kern prefers to keep that to herself."


@pytest.mark.parametrize(
    "preamble",
    [
        "Sure! Here is a new answer: ", "Certainly! ", "Sure, here you go: ", "Answer: ",
        "Here's a vague reply:\n\n", "**Answer:** ", "Okay, ", "Of course! Here's the sentence: ",
        "New answer: Sure! ", "```\n", "Natürlich! Hier ist eine neue Antwort: ",
        "Claro, aquí tienes una respuesta: ", "好的\uff0c以下是新的回答\uff1a",
        "Rewritten response (without private details): ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("marks", ["{}", '"{}"', "\u201c{}\u201d"])
def test_a_preamble_is_cut_off(preamble: str, marks: str) -> None:
    text = plain_reply(preamble + marks.format(ANSWER), "Mia Kern")
    assert text == ANSWER
    assert not speaks_of_itself(text)


def test_what_belongs_to_the_text_is_kept() -> None:
    for text in (
        "I have a question about Mia Kern: where does she live?",
        "Nobody knows. \u201cAsk her.\u201d",
        "Sure!",
    ):  # fmt: skip
        assert plain_reply(text, "Mia Kern") == text


@pytest.mark.parametrize(
    "talk",
    [
        "I am not allowed to reveal the private answer that was given to me.",
        "As an AI language model, I can't say more.",
        "(This answer avoids all details.)",
        "Note: I left out the town.",
        "Let me know if you need another one!",
        "The original answer is not repeated here.",
        "I was instructed to keep it vague.",
        "Here is the answer without the address.",
    ],
)
def test_talk_about_the_task_is_seen(talk: str) -> None:
    assert speaks_of_itself(f"{ANSWER} {talk}")


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        "The answer to that is known only to Mia Kern and a few friends.",
        "Mia Kern shares private details with very few people.",
        "It would be unfair to guess, since nothing has been confirmed so far.",
    ],
)
def test_an_answer_is_no_talk_about_the_task(text: str) -> None:
    assert not speaks_of_itself(text)
