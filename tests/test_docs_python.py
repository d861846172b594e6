"""Every example in docs/python.md runs, in its order, with a tiny model."""

import re
import shutil
from pathlib import Path

import pytest

from helpers.small_files import write_demo_records

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def test_every_example_runs(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, "my-model")
    write_demo_records(tmp_path, 2)
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    assert len(examples) == 7
    namespace: dict[str, object] = {}
    for number, example in enumerate(examples, 1):
        print(f"example {number}")
        exec(compile(example, f"{PAGE.name} example {number}", "exec"), namespace)
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    assert (tmp_path / "unlearned" / "adapter_model.safetensors").is_file()
