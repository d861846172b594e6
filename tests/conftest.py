"""Models and data that the tests share."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from relearn.config import ModelConfig
from relearn.models.loading import load_tokenizer, model_folder

DATA_FILES = Path(__file__).parent / "data_files"
WHOLE_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pretend-device", action="store_true",
        help="let models be loaded on a second device that is main memory: nothing may be mixed",
    )  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _pretended(request: pytest.FixtureRequest) -> Iterator[None]:
    """The pretended device of `--pretend-device`; without it, what there is."""
    if not request.config.getoption("--pretend-device"):
        yield
        return
    from helpers.pretended_device import pretended_device

    with pretended_device():
        yield


@pytest.fixture(scope="session")
def data_files() -> Path:
    """The folder of real data that the tests bring along; its README says where it is from."""
    return DATA_FILES


@pytest.fixture(scope="session")
def knowundo() -> Path:
    """The folder of KnowUnDo's privacy part as it ships with relearn."""
    return Path(str(resources.files("relearn.data"))) / "demo" / "knowundo"


@pytest.fixture(scope="session")
def whole_data() -> Path:
    """The folder of whole published data sets beside the checkout, for what slices can't show."""
    if not WHOLE_DATA.is_dir():
        pytest.skip("needs whole published data sets in ../shared/data, beside the checkout")
    return WHOLE_DATA


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random Llama and the embedded model's tokenizer.

    For what does not depend on what a model knows: resuming, equality of losses, errors.
    """
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = load_tokenizer(model_folder("smollm2-135m"), ModelConfig())
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
