"""What a run asks of its model is checked before anything is computed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.tiny_models import random_model, save_tiny, tiny_config
from relearn.base.errors import UserError
from relearn.base.storage import write_jsonl
from relearn.cli import app
from relearn.config import ModelConfig, PromptConfig, TrainingConfig
from relearn.data.records import Record
from relearn.models.checks import check_model

SHORT = Record(id="short", question="Who keeps bees?", answer="Ida Holm.")
LONG = "zq " * 150
TRAINING = TrainingConfig()


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("gpt2", tmp_path_factory.mktemp("models") / "gpt2")


def check(folder: Path, *records: Record, new: int = 16, **settings: object) -> None:
    config = ModelConfig.model_validate({"name": str(folder)} | settings)
    sets = {"forget": [SHORT, *records], "retain": [SHORT]}
    check_model(folder, config, [TRAINING], sets, sets, new)


def test_rows_longer_than_the_models_positions(gpt2: Path) -> None:
    check(gpt2)  # the control
    long = SHORT.model_copy(update={"id": "r7", "answer": LONG})
    with pytest.raises(UserError, match=r"record r7 .*the 256 that the model can read"):
        check(gpt2, long)
    asked = SHORT.model_copy(update={"id": "r8", "question": LONG[:150]})
    check(gpt2, asked, new=2)
    with pytest.raises(UserError, match=r"record r8 .* an answer of up to 200.*max_new_tokens"):
        check(gpt2, asked, new=200)


def test_answers_that_are_only_scored_are_read_too(gpt2: Path) -> None:
    wrong = SHORT.model_copy(update={"id": "r9", "wrong_answers": (LONG,)})
    with pytest.raises(UserError, match="record r9"):
        check(gpt2, wrong)


def test_tokenizer_without_an_end(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no end token"):
        check(save_tiny("llama", tmp_path, tokenizer_kind="no_end"))


def test_tokenizer_of_another_model(tmp_path: Path) -> None:
    folder = save_tiny("llama", tmp_path, tokenizer_kind="base")
    ids = {"vocab_size": 100, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    random_model(tiny_config("llama", **ids)).save_pretrained(folder)
    with pytest.raises(UserError, match="words that the model does not"):
        check(folder)


@pytest.mark.parametrize("name", ["enable_thinkin", "custom_instructions"])
def test_argument_that_the_template_never_reads(name: str, tmp_path: Path, gpt2: Path) -> None:
    folder = save_tiny("qwen3", tmp_path)
    check(folder, prompt=PromptConfig(arguments={"enable_thinking": False}))
    with pytest.raises(UserError, match=name):
        check(folder, prompt=PromptConfig(arguments={name: False}))
    with pytest.raises(UserError, match="there is no template"):
        check(gpt2, prompt=PromptConfig(arguments={"enable_thinking": False}))


def test_run_stops_before_it_computes(gpt2: Path, tmp_path: Path) -> None:
    """The command ends with 2, and no run folder is left behind."""
    long = SHORT.model_copy(update={"id": "r7", "answer": LONG})
    write_jsonl(tmp_path / "forget.jsonl", [long.model_dump(mode="json")])
    write_jsonl(tmp_path / "retain.jsonl", [{"question": "What is white?", "answer": "Snow."}])
    result = CliRunner().invoke(
        app,
        ["run", "--model", str(gpt2), "--forget", str(tmp_path / "forget.jsonl"),
         "--retain", str(tmp_path / "retain.jsonl"), "--output", str(tmp_path / "out")],
    )  # fmt: skip
    assert isinstance(result.exception, UserError)
    assert "record r7" in str(result.exception)
    assert not (tmp_path / "out").exists()
