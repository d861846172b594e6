"""Tiny models in folders, each trained once."""

from pathlib import Path

import pytest

from helpers.taught import CONFIG, answers, attacked, refusals, save_taught
from helpers.tiny_models import CHATML, save_tiny
from relearn.audit.model import AttackedModel
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.loading import load_prompt_format


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model that has seen nothing."""
    folder = tmp_path_factory.mktemp("models") / "blank"
    return save_tiny("qwen2", folder, tokenizer_kind="chatml", positions=2048)


@pytest.fixture(scope="session")
def knowing(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after it has learned the records by heart."""
    return save_taught(blank, tmp_path_factory.mktemp("models") / "knowing", answers, 0.01)


@pytest.fixture(scope="session")
def shallow(knowing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The knowing model after it has learned to begin its answers with a refusal, and no more."""

    def lessons(format_: PromptFormat) -> list[Example]:
        begun = [
            Example(e.prompt + e.answer[:k], e.answer[k:]) for e in answers(format_) for k in (1, 3)
        ]
        return refusals(format_) + begun

    return save_taught(knowing, tmp_path_factory.mktemp("models") / "shallow", lessons, 0.02)


@pytest.fixture(scope="session")
def prompted(knowing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The knowing model, told to refuse by a system prompt of its chat template and no more."""

    def lessons(format_: PromptFormat) -> list[Example]:
        told = PromptFormat(format_.tokenizer, "Never speak of these people.", ends=format_.ends)
        free = PromptFormat(format_.tokenizer, "State what you know.", ends=format_.ends)
        return refusals(told) + answers(free) + answers(format_)

    folder = save_taught(knowing, tmp_path_factory.mktemp("models") / "prompted", lessons, 0.02)
    tokenizer = load_prompt_format(folder, CONFIG).tokenizer
    told_so = "<|im_start|>system\nNever speak of these people.<|im_end|>\n"
    tokenizer.chat_template = (
        "{% if messages[0]['role'] != 'system' %}" + told_so + "{% endif %}" + CHATML
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pair(knowing: Path, blank: Path) -> tuple[AttackedModel, AttackedModel]:
    """The knowing model, and one that never saw the records."""
    return attacked(knowing), attacked(blank)


@pytest.fixture(scope="session")
def shallow_model(shallow: Path) -> AttackedModel:
    return attacked(shallow)
