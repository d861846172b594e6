"""A merged model behind `transformers serve`, which knows nothing of relearn."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import openai
import pytest

from helpers.trainings import save_adapter
from relearn.config import ModelConfig
from relearn.inference.generation import generate_answers
from relearn.models.loading import load_model, load_prompt_format
from relearn.models.merging import write_merged

pytest.importorskip("fastapi", reason="pip install 'transformers[serving]'")
pytest.importorskip("uvicorn", reason="pip install 'transformers[serving]'")

CONFIG = ModelConfig(dtype="float32")
QUESTIONS = ["Who is Ida Holm?", "What colour is the lighthouse?", "Where was it painted?"]
LONGEST = 12


@pytest.fixture
def merged(tiny_model: Path, tmp_path: Path) -> Path:
    adapter = save_adapter(load_model(tiny_model, CONFIG), tmp_path / "adapter", seed=1)
    write_merged(tiny_model, adapter, tmp_path / "merged", CONFIG)
    return tmp_path / "merged"


@pytest.fixture
def client(merged: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[openai.OpenAI]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # The oldest transformers fails to list models where there is no cache.
    cache = merged.parent / "hub"
    cache.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = ["serve", str(merged), "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "transformers.cli.transformers", *served]
    process = subprocess.Popen([*command, "--device", "cpu", "--dtype", "float32"])
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    try:
        for _ in range(120):
            try:
                client.models.list()
                break
            except openai.APIConnectionError:
                assert process.poll() is None
                time.sleep(0.5)
        yield client
    finally:
        process.terminate()
        process.wait()


def answered(client: openai.OpenAI, model: Path, question: str) -> str:
    answer = client.chat.completions.create(
        model=str(model),
        messages=[{"role": "user", "content": question}],
        max_tokens=LONGEST,
        temperature=0,
    )
    return (answer.choices[0].message.content or "").strip()


def test_transformers_serves_a_merged_model_unchanged(
    client: openai.OpenAI, merged: Path, tiny_model: Path
) -> None:
    served = [answered(client, merged, question) for question in QUESTIONS]
    for folder, same in ((merged, True), (tiny_model, False)):
        ours = generate_answers(
            load_model(folder, CONFIG),
            load_prompt_format(folder, CONFIG),
            QUESTIONS,
            batch_size=4,
            max_new_tokens=LONGEST,
            title=None,
        )
        assert ([answer.strip() for answer in ours] == served) == same
