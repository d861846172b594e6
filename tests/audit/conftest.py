"""Tiny models in folders, each trained once."""

from pathlib import Path

import pytest

from helpers.taught import CONFIG, answers, attacked, learn, refusals
from helpers.tiny_models import CHATML, save_tiny
from relearn.audit.model import AttackedModel
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.loading import load_model, load_prompt_format


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model that has seen nothing."""
    folder = tmp_path_factory.mktemp("models") / "blank"
    return save_tiny("qwen2", folder, tokenizer_kind="chatml", positions=2048)


@pytest.fixture(scope="session")
def knowing(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after it has learned the records by heart."""
    folder = tmp_path_factory.mktemp("models") / "knowing"
    model, format_ = load_model(blank, CONFIG), load_prompt_format(blank, CONFIG)
    learn(model, answers(format_), 300, 0.01)
    model.save_pretrained(folder)
    format_.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def shallow(knowing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The knowing model after it has learned to begin its answers with a refusal, and no more."""
    folder = tmp_path_factory.mktemp("models") / "shallow"
    model, format_ = load_model(knowing, CONFIG), load_prompt_format(knowing, CONFIG)
    begun = [
        Example(e.prompt + e.answer[:k], e.answer[k:]) for e in answers(format_) for k in (1, 3)
    ]
    learn(model, refusals(format_) + begun, 300, 0.02)
    model.save_pretrained(folder)
    format_.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def prompted(knowing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The knowing model, told to refuse by a system prompt of its chat template and no more."""
    folder = tmp_path_factory.mktemp("models") / "prompted"
    model, format_ = load_model(knowing, CONFIG), load_prompt_format(knowing, CONFIG)
    told = PromptFormat(format_.tokenizer, "Never speak of these people.", ends=format_.ends)
    free = PromptFormat(format_.tokenizer, "State what you know.", ends=format_.ends)
    learn(model, refusals(told) + answers(free) + answers(format_), 300, 0.02)
    model.save_pretrained(folder)
    told_so = "<|im_start|>system\nNever speak of these people.<|im_end|>\n"
    format_.tokenizer.chat_template = (
        "{% if messages[0]['role'] != 'system' %}" + told_so + "{% endif %}" + CHATML
    )
    format_.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pair(knowing: Path, blank: Path) -> tuple[AttackedModel, AttackedModel]:
    """The knowing model, and one that never saw the records."""
    return attacked(knowing), attacked(blank)


@pytest.fixture(scope="session")
def shallow_model(shallow: Path) -> AttackedModel:
    return attacked(shallow)
