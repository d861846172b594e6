"""Every example in docs/python.md runs, in its order, with a tiny model; then other pages'."""

import re
import shutil
from pathlib import Path

import pytest

from helpers.small_files import write_demo_records

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"


def examples(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def test_every_example_runs(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, "my-model")
    write_demo_records(tmp_path, 2)
    assert len(examples(PAGE)) == 6
    namespace: dict[str, object] = {}
    for number, example in enumerate(examples(PAGE), 1):
        print(f"example {number}")
        exec(compile(example, f"{PAGE.name} example {number}", "exec"), namespace)
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    assert (tmp_path / "unlearned" / "adapter_model.safetensors").is_file()

    # The README's, on the same model and sets.
    shutil.rmtree("forgotten-model")
    (readme,) = examples(ROOT / "README.md")
    exec(compile(readme, "README.md", "exec"), namespace)
    assert (tmp_path / "forgotten-model" / "model.safetensors").is_file()

    # A gate's, on the run of the page: a random model keeps nothing, so it has to close.
    Path("runs/mine").rename("runs/release")
    (gate,) = examples(ROOT / "docs" / "how-to" / "ci-gate.md")
    with pytest.raises(AssertionError):
        exec(compile(gate, "ci-gate.md", "exec"), {})


def test_the_example_of_a_judge(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = examples(ROOT / "docs" / "judges.md")
    exec(compile(example, "judges.md", "exec"), {})
    assert capsys.readouterr().out.startswith("['contradiction']\n")
