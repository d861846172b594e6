"""Records that synthesis finds no new answer for, and trainings that need no synthesis."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from helpers.endpoint import Endpoint
from relearn.base.storage import read_json, read_jsonl, write_jsonl
from relearn.cli import app
from relearn.config import ModelConfig
from relearn.data.tokenization import PromptFormat
from relearn.models.loading import load_tokenizer

QUICK = [
    "training.epochs=1", "evaluation.max_new_tokens=4", "synthesis.variants=1",
    "synthesis.generic_ratio=0", "training.lora.rank=2", "audit=none",
]  # fmt: skip
# Rules take a record's own wrong answers as alternatives, and invent none.
ALTERNATIVES = ["synthesis.strategy=alternative", *QUICK]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    forget = [
        {"id": "mia", "question": "Where does Mia Kern live?", "answer": "In Lima."},
        {
            "id": "udo", "question": "Where does Udo Lenz live?", "answer": "In Quito.",
            "wrong_answers": ["Udo Lenz lives near the harbour of Oslo today."],
        },
    ]  # fmt: skip
    retain = [{"question": "What colour is the sky?", "answer": "The sky is blue on a clear day."}]
    write_jsonl(tmp_path / "forget.jsonl", forget)
    write_jsonl(tmp_path / "retain.jsonl", retain)
    return ["--forget", str(tmp_path / "forget.jsonl"), "--retain", str(tmp_path / "retain.jsonl")]


def invoke(arguments: list[str], settings: list[str], *more: str) -> Result:
    return CliRunner().invoke(
        app, [*arguments, *(part for s in settings for part in ("--set", s)), *more]
    )


def test_a_run_says_what_stays_in_the_model(
    tmp_path: Path, tiny_model: Path, files: list[str]
) -> None:
    output = tmp_path / "run"
    work = ["run", "--model", str(tiny_model), *files, "--output", str(output)]
    done = invoke(work, ALTERNATIVES)
    assert done.exit_code == 4, done.output
    last = " ".join(done.output.strip().splitlines()[-1:])
    assert "1 record was not unlearned" in last
    assert "mia" in last
    assert read_json(output / "summary.json")["unanswered"] == {"unlearned": ["mia"]}
    assert "1 record was not unlearned" in (output / "report.html").read_text()
    allowed = invoke(work, ALTERNATIVES, "--allow-unanswered")
    assert allowed.exit_code == 0, allowed.output
    assert "not unlearned" in allowed.output


def test_rows_that_are_too_long_to_train_on_are_not_made(
    tmp_path: Path, tiny_model: Path, files: list[str]
) -> None:
    """Found by synthesis, and not by the training that they would stop."""
    prompt_format = PromptFormat(load_tokenizer(tiny_model, ModelConfig()))
    output = tmp_path / "run"
    settings = [*QUICK, "synthesis.variants=4", "training.max_length=70"]
    done = invoke(["run", "--model", str(tiny_model), *files, "--output", str(output)], settings)
    assert done.exit_code == 0, done.output
    made = read_jsonl(output / "synthesis" / "augmented.jsonl")
    lengths = [len(prompt_format.encode(row["question"], row["answer"])) for row in made]
    assert len(lengths) > 10
    assert max(lengths) <= 70  # up to 88 without the bound


def test_synthesize_says_it_too(tmp_path: Path, files: list[str]) -> None:
    work = ["synthesize", *files[:2], "--output", str(tmp_path / "out")]
    done = invoke(work, ALTERNATIVES)
    assert done.exit_code == 4, done.output
    assert "mia" in done.output.strip().splitlines()[-1]
    assert invoke(work, ALTERNATIVES, "--allow-unanswered").exit_code == 0
    assert invoke([*work[:-1], str(tmp_path / "all")], QUICK).exit_code == 0


def test_nothing_is_synthesized_that_no_training_uses(
    tmp_path: Path, tiny_model: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    output = tmp_path / "run"
    with Endpoint(lambda *_: "No.") as endpoint:
        settings = [
            *QUICK, "training.objective=npo", "synthesis.backend=openai",
            f"synthesis.llm.base_url={endpoint.base_url}", "synthesis.llm.model=m",
        ]  # fmt: skip
        work = ["run", "--model", str(tiny_model), *files, "--output", str(output)]
        done = invoke(work, settings)
        assert endpoint.requests == []
    assert done.exit_code == 0, done.output
    assert not (output / "synthesis").exists()
    assert "synthesis" not in read_json(output / "summary.json")["seconds"]
    assert "Nothing was synthesised" in (output / "report.html").read_text()
    # A baseline that uses it, added later, brings it along.
    settings = [*QUICK, "training.objective=npo", "synthesis.backend=rules"]
    added = invoke([*work[:-1], str(tmp_path / "both")], [*settings, "baselines.relearn.epochs=1"])
    assert added.exit_code == 0, added.output
    assert read_jsonl(tmp_path / "both" / "synthesis" / "augmented.jsonl")
