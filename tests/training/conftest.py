"""The tiny model and its prompt format."""

from pathlib import Path

import pytest
from transformers import PreTrainedModel

from helpers.trainings import CONFIG
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_model, load_tokenizer


@pytest.fixture
def model(tiny_model: Path) -> PreTrainedModel:
    return load_model(tiny_model, CONFIG)


@pytest.fixture(scope="session")
def prompt_format(tiny_model: Path) -> PromptFormat:
    return PromptFormat(load_tokenizer(tiny_model, CONFIG))
