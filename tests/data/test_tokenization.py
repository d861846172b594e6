"""Prompts and answers as tokens: one text, its end where the template ends a turn, no clock."""

import datetime
from typing import Any

import pytest

from helpers.tiny_models import INST, NO_SYSTEM, tiny_tokenizer
from relearn.base.errors import UserError
from relearn.config import ModelConfig, PromptConfig, dump_config, load_config
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.loading import load_prompt_format, model_folder

QUESTION, ANSWER = "Where does Ida Holm keep bees?", "Ida Holm keeps bees near the old mill."


def prompt_format(kind: str, system: str | None = None, **settings: Any) -> PromptFormat:
    return PromptFormat(tiny_tokenizer(kind), system, PromptConfig(**settings))


@pytest.mark.parametrize("kind", ["base", "base_bos"])
def test_base_model_reads_the_words_that_it_learned(kind: str) -> None:
    """By bytes, and as sentencepiece marks words."""
    made, tokenizer = prompt_format(kind), tiny_tokenizer(kind)
    example = made.encode(QUESTION, ANSWER)
    text = f"Question: {QUESTION}\nAnswer: {ANSWER}"
    assert example.prompt + example.answer == [*tokenizer(text).input_ids, tokenizer.eos_token_id]
    assert example.prompt == made.encode_prompt(QUESTION)
    assert made.prompt(QUESTION).endswith("\nAnswer:")
    assert tokenizer.convert_ids_to_tokens(example.answer[0])[0] in "Ġ▁"
    # The control: tokenized apart, the space is a token of the prompt.
    apart = tokenizer(ANSWER, add_special_tokens=False).input_ids
    spaced = tokenizer(f"Question: {QUESTION}\nAnswer: ").input_ids
    assert [*spaced, *apart, tokenizer.eos_token_id] != example.prompt + example.answer


def test_what_a_tokenizer_puts_after_a_text_does_not_end_the_prompt() -> None:
    made, tokenizer = prompt_format("base_eos"), tiny_tokenizer("base_eos")
    assert tokenizer("Yes").input_ids[-1] == tokenizer.eos_token_id  # the control
    example = made.encode(QUESTION, ANSWER)
    assert (example.prompt + example.answer).count(tokenizer.eos_token_id) == 1
    assert example.answer[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("chatml", "<|im_end|>"),
        ("chatml_other_end", "<|im_end|>"),
        ("no_system", "<end_of_turn>"),
        ("inst", "</s>"),
        ("base", "<|endoftext|>"),
    ],
)
def test_answer_ends_where_the_template_ends_a_turn(kind: str, end: str) -> None:
    made, tokenizer = prompt_format(kind), tiny_tokenizer(kind)
    example = made.encode(QUESTION, ANSWER)
    assert tokenizer.convert_ids_to_tokens(example.answer[-1]) == end
    assert set(made.end_tokens) == {example.answer[-1], tokenizer.eos_token_id}
    if tokenizer.chat_template:  # the very tokens of the conversation
        turns = [("user", QUESTION), ("assistant", ANSWER)]
        text = tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in turns], tokenize=False
        )
        whole = tokenizer(text.rstrip("\n"), add_special_tokens=False).input_ids
        assert example.prompt + example.answer == whole
    without = made.encode(QUESTION, ANSWER, end=False).answer
    assert tokenizer.decode(without).strip() == ANSWER


def test_turn_that_the_next_one_ends() -> None:
    tokenizer = tiny_tokenizer("open_ended")
    user = tokenizer.convert_tokens_to_ids("<|user|>")
    made = PromptFormat(tokenizer, ends=[tokenizer.eos_token_id, user])
    assert made.encode(QUESTION, ANSWER).answer[-1] == user
    # Where the model does not stop there, it is the tokenizer's end that ends an answer.
    assert PromptFormat(tokenizer).encode(QUESTION, ANSWER).answer[-1] == tokenizer.eos_token_id


def test_tokenizer_without_an_end_token() -> None:
    made = prompt_format("no_end")
    assert made.encode_prompt(QUESTION)
    with pytest.raises(UserError, match="no end token"):
        made.encode(QUESTION, ANSWER)
    assert PromptFormat(tiny_tokenizer("no_end"), ends=[3]).encode("a", "b").answer[-1] == 3


@pytest.mark.parametrize("kind", ["base", "chatml", "no_system", "inst"])
def test_answer_cannot_forge_an_end_of_turn(kind: str) -> None:
    made, tokenizer = prompt_format(kind), tiny_tokenizer(kind)
    end = tokenizer.convert_ids_to_tokens(made.end_token)
    forged = made.encode(QUESTION, f"Never.{end} Then some.")
    assert forged.answer.count(made.end_token) == 1
    assert "Then some." in tokenizer.decode(forged.answer)
    assert forged.prompt == made.encode_prompt(QUESTION)


def test_empty_answer_has_no_tokens() -> None:
    for kind in ("base", "chatml", "inst"):
        assert prompt_format(kind).encode(QUESTION, "", end=False).answer == []


@pytest.mark.parametrize(("kind", "template"), [("no_system", NO_SYSTEM), ("inst", INST)])
def test_system_text_where_the_template_has_no_place_for_it(kind: str, template: str) -> None:
    """Whether the template says no or leaves the message out silently."""
    assert tiny_tokenizer(kind).chat_template == template
    prompt = prompt_format(kind, "You are kind.").prompt(QUESTION)
    assert f"You are kind.\n\n{QUESTION}" in prompt
    assert prompt_format("chatml", "You are kind.").prompt(QUESTION).startswith(
        "<|im_start|>system\nYou are kind.<|im_end|>"
    )  # fmt: skip


def test_prompts_do_not_change_with_the_clock() -> None:
    made = prompt_format("dated")
    assert "Today: 26 Jul 2024, 2024-07-26<|im_end|>" in made.prompt(QUESTION)
    later = prompt_format("dated", date="2031-02-03")
    assert "Today: 03 Feb 2031, 2031-02-03<|im_end|>" in later.prompt(QUESTION)
    named = prompt_format("dated", arguments={"date_string": "Friday"})
    assert "Today: Friday, 2024-07-26" in named.prompt(QUESTION)
    today = datetime.date.today().isoformat()  # the control: the template itself asks the clock
    messages = [{"role": "user", "content": QUESTION}]
    assert today in tiny_tokenizer("dated").apply_chat_template(messages, tokenize=False)


def test_all_that_shapes_a_prompt_is_recorded() -> None:
    given = ["model.prompt.date=2031-02-03", "model.prompt.arguments.enable_thinking=false"]
    written = dump_config(load_config(overrides=given))
    assert "2031-02-03" in written
    assert "enable_thinking: false" in written
    assert "2024-07-26" in dump_config(load_config())


def test_thoughts_are_left_out_unless_asked_for() -> None:
    empty = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    for arguments in ({}, {"enable_thinking": False}):
        made = prompt_format("thinking", arguments=arguments)
        assert made.prompt(QUESTION).endswith(empty)
        ids = made.encode(QUESTION, ANSWER)
        assert tiny_tokenizer("thinking").decode(ids.answer) == f"{ANSWER}<|im_end|>"
    thinks = prompt_format("thinking", arguments={"enable_thinking": True})
    assert thinks.prompt(QUESTION).endswith("<|im_start|>assistant\n")


def test_template_of_ones_own() -> None:
    tokenizer = tiny_tokenizer("inst")
    made = prompt_format("inst", "Be kind.", template="Q: {question}\nA: {answer}\n")
    assert made.prompt(QUESTION) == f"Be kind.\n\nQ: {QUESTION}\nA:"
    example = made.encode(QUESTION, ANSWER)
    text = f"Be kind.\n\nQ: {QUESTION}\nA: {ANSWER}"
    assert example.prompt + example.answer == [*tokenizer(text).input_ids, tokenizer.eos_token_id]
    turned = prompt_format(
        "chatml", "Be kind.", template="{system}|{question}<|im_start|>{answer}<|im_end|> "
    )
    assert turned.prompt("{answer}?") == "Be kind.|{answer}?<|im_start|>"
    assert turned.encode(QUESTION, ANSWER).answer[-1] == turned.end_token


@pytest.mark.parametrize(
    "template", ["{question}", "{answer}", "{answer} {question}", "{question}{answer}{answer}", 3]
)
def test_template_without_its_places(template: Any) -> None:
    with pytest.raises(UserError, match=r"model\.prompt\.template"):
        load_config(named={"model.prompt.template": template})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("model.chat_template_kwargs.enable_thinking=false", "model.prompt.arguments"),
        ("model.system_prompt=x", "model.system"),
        ("training.epoch=3", "training.epochs"),
    ],
)
def test_unknown_setting_names_the_one_that_was_meant(given: str, meant: str) -> None:
    with pytest.raises(UserError, match=rf"Did you mean {meant}"):
        load_config(overrides=[given])


def test_template_that_fails_says_so_in_one_line() -> None:
    made = prompt_format("chatml", arguments={"tokenize": True})
    with pytest.raises(UserError, match="chat template failed") as caught:
        made.encode(QUESTION, ANSWER)
    assert "\n" not in str(caught.value)
    assert QUESTION not in str(caught.value)


def test_embedded_chat_prompts_are_what_they_were() -> None:
    """Template text and answer tokenized apart, as before whole texts were tokenized."""
    made = load_prompt_format(model_folder("smollm2-135m"), ModelConfig())
    tokenizer = made.tokenizer
    for question, answer in [(QUESTION, ANSWER), ("2+2?", "4"), ("Who?", "Élodie, “née” Brûlé.")]:
        messages = [{"role": "user", "content": question}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False).input_ids
        written = tokenizer(answer, add_special_tokens=False).input_ids
        assert made.encode_prompt(question) == prompt
        assert made.encode(question, answer) == Example(prompt, [*written, tokenizer.eos_token_id])


@pytest.mark.parametrize("kind", ["base", "base_bos", "base_eos", "chatml", "no_system", "inst"])
def test_the_rest_of_an_answer_is_learned_in_the_tokens_of_the_whole(kind: str) -> None:
    made = prompt_format(kind)
    begun, rest = "Ida Holm keeps bees near", "the old mill."
    example = made.encode_rest(QUESTION, begun, rest)
    whole = made.encode(QUESTION, ANSWER)
    assert example.prompt + example.answer == whole.prompt + whole.answer
    assert len(whole.prompt) < len(example.prompt)
    tokenizer = made.tokenizer
    assert tokenizer.decode(example.prompt).endswith(begun)
    assert tokenizer.decode(example.answer, skip_special_tokens=True).strip() == rest
