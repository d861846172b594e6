"""Synthesis of a large set, which goes on at the block where it was killed."""

import json
from pathlib import Path

import pytest

from helpers.command import Command
from relearn.base.storage import read_appended, read_jsonl, write_json, write_jsonl
from relearn.config import ModelConfig, SynthesisConfig
from relearn.data.records import Record
from relearn.data.sources import load_records
from relearn.synthesis.blocks import Block, FinishedBlocks
from relearn.synthesis.folder import synthesize_into
from relearn.synthesis.pipeline import synthesize

RESULTS = ("augmented.jsonl", "rejected.jsonl", "pairs.jsonl")
SETTINGS = SynthesisConfig(variants=1, generic_ratio=0)


def test_killed_it_goes_on_with_the_next_block(tmp_path: Path) -> None:
    extension = tmp_path / "small_blocks.py"
    extension.write_text("import relearn.synthesis.pipeline as p; p._BLOCK = 4")
    write_json(tmp_path / "settings.yaml", {"extensions": [str(extension)]})

    def command(output: str) -> Command:
        given = ["--forget", "demo:forget", "--config", str(tmp_path / "settings.yaml")]
        return Command(["synthesize", *given, "--output", str(tmp_path / output)])

    killed, blocks = command("killed"), tmp_path / "killed" / "blocks.jsonl"
    killed.kill_when(lambda: blocks.is_file() and blocks.read_bytes().count(b"\n") >= 2)
    before = list(read_appended(blocks))
    with blocks.open("a") as file:
        file.write('{"block": "to')  # as a kill in the middle of a line leaves it
    for output in ("killed", "undisturbed"):
        assert command(output).finish().returncode == 0
        assert {f.name for f in (tmp_path / output).glob("[!.]*")} == {*RESULTS, "summary.json"}
    for name in RESULTS:
        one, other = ((tmp_path / output / name) for output in ("killed", "undisturbed"))
        assert one.read_bytes() == other.read_bytes(), name
    kept = {row["answer"] for block in before for row in block["accepted"]}
    assert kept
    assert kept <= {row["answer"] for row in read_jsonl(one.with_name(RESULTS[0]))}


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Record]]:
    """A folder with the first block of a set, one of whose answers shows that it was kept."""
    monkeypatch.setattr("relearn.synthesis.pipeline._BLOCK", 2)
    records = load_records("demo:forget")[:4]

    add = FinishedBlocks.add

    def interrupted(finished: FinishedBlocks, number: int, block: Block) -> None:
        add(finished, number, block)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FinishedBlocks, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            synthesize_into(tmp_path, records, SETTINGS, 0)
    file = tmp_path / "blocks.jsonl"
    (row,) = map(json.loads, file.read_text().splitlines())
    row["accepted"][0]["answer"] = "Kept."
    write_jsonl(file, [row])
    return tmp_path, records


def test_a_finished_block_is_not_done_again(begun: tuple[Path, list[Record]]) -> None:
    folder, records = begun
    result = synthesize_into(folder, records, SETTINGS, 0)
    whole = synthesize(records, SETTINGS, 0)
    assert result.accepted[0].answer == "Kept."
    assert result.accepted[1:] == whole.accepted[1:]
    assert result.rejected == whole.rejected
    assert result.summary["leak_checks"] == whole.summary["leak_checks"]


@pytest.mark.parametrize("change", ["seed", "setting", "model", "record", "reserved"])
def test_a_block_of_another_synthesis_is_left_alone(
    begun: tuple[Path, list[Record]], change: str
) -> None:
    folder, records = begun
    if change == "record":
        records[-1] = records[-1].model_copy(update={"answer": "In Lima."})
    result = synthesize_into(
        folder,
        records,
        SETTINGS.model_copy(update={"attempts": 5}) if change == "setting" else SETTINGS,
        int(change == "seed"),
        model=ModelConfig(name="other") if change == "model" else None,
        reserved=["Is it so?"] if change == "reserved" else (),
    )
    assert "Kept." not in [row.answer for row in result.accepted]
    assert {row.source_id for row in result.accepted} == {record.id for record in records}
    assert not (folder / "blocks.jsonl").exists()
