"""GGUF files in llama.cpp itself: its tokens and its answers are relearn's.

Needs Node.js, and llama.cpp as npm has it built: `npm install --ignore-scripts node-llama-cpp` in
any folder, which `LLAMA_CPP_NODE` then names.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from helpers.trainings import save_adapter
from relearn.base.storage import read_json, write_json
from relearn.config import ModelConfig
from relearn.inference.generation import generate_answers
from relearn.models.gguf_export import GgufType, write_gguf
from relearn.models.loading import load_model, load_prompt_format, model_folder
from relearn.models.merging import write_merged

CONFIG = ModelConfig(dtype="float32")
SCRIPT = Path(__file__).parents[1] / "helpers" / "llama_cpp.mjs"
QUESTIONS = ["What is the capital of France?", "Who wrote Hamlet?", "Why is the sky blue?",
             "What's 12*12, and in «words»?", "Wo liegt Köln? 日本は？"]  # fmt: skip
LONGEST = 24

pytestmark = pytest.mark.slow


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """The folder of a script that finds node-llama-cpp."""
    packages = Path(os.environ.get("LLAMA_CPP_NODE", "")) / "node_modules"
    if "LLAMA_CPP_NODE" not in os.environ or not shutil.which("node"):
        pytest.skip("LLAMA_CPP_NODE names no folder with node-llama-cpp")
    (tmp_path / "node_modules").symlink_to(packages.absolute())
    shutil.copy(SCRIPT, tmp_path)
    return tmp_path


def of_llama_cpp(node: Path, model: Path, type_: GgufType) -> list[dict[str, Any]]:
    file = node / "model.gguf"
    write_gguf(model, file, type_)
    prompts = load_prompt_format(model, CONFIG)
    write_json(node / "prompts.json", [prompts.prompt(question) for question in QUESTIONS])
    command = ["node", SCRIPT.name, str(file), "prompts.json", "answers.json", str(LONGEST)]
    subprocess.run(command, cwd=node, check=True, timeout=300)
    file.unlink()
    return read_json(node / "answers.json")


def ours(model: Path) -> list[str]:
    return generate_answers(
        load_model(model, CONFIG), load_prompt_format(model, CONFIG), QUESTIONS,
        batch_size=8, max_new_tokens=LONGEST, title=None,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_llama_cpp_reads_and_answers_as_the_model(node: Path, name: str) -> None:
    model = model_folder(name)
    found = of_llama_cpp(node, model, "f16")
    prompts = load_prompt_format(model, CONFIG)
    assert [each["tokens"] for each in found] == [prompts.encode_prompt(q) for q in QUESTIONS]
    assert [each["answer"].strip() for each in found] == [answer.strip() for answer in ours(model)]


def test_another_model_answers_otherwise(node: Path) -> None:
    model = model_folder("smollm2-135m")
    adapter = save_adapter(load_model(model, CONFIG), node / "adapter", seed=1)
    write_merged(model, adapter, node / "merged", CONFIG)
    found = [each["answer"].strip() for each in of_llama_cpp(node, node / "merged", "q8_0")]
    assert found != [answer.strip() for answer in ours(model)]
