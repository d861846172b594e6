"""Work in batches: what is finished survives a kill, of passes and of judges."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from helpers.command import Command
from helpers.endpoint import Endpoint
from helpers.processes import in_two_processes
from relearn.base.errors import UserError
from relearn.base.storage import read_json, read_jsonl, write_jsonl
from relearn.config import EvaluationConfig, LLMConfig
from relearn.evaluation.batches import finished_batches, in_batches
from relearn.evaluation.judges import entailment, entities
from relearn.evaluation.judges.pair_files import label_file
from relearn.evaluation.scoring import evaluate_generations


def test_a_batch_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    file, read = tmp_path / "f.jsonl", list[Sequence[int]]()

    def work(batch: Sequence[int]) -> list[int]:
        read.append(batch)
        return [n * n for n in batch]

    assert in_batches(range(5), lambda b: work(list(b)), 2) == [0, 1, 4, 9, 16]
    read.clear()
    assert in_batches([1, 2, 3, 4], work, 2, file=file) == [1, 4, 9, 16]
    with file.open("a") as stream:
        stream.write('{"batch": "to')
    assert in_batches([3, 4, 5], work, 2, file=file) == [9, 16, 25]
    assert read == [[1, 2], [3, 4], [5]]
    assert len(read_jsonl(file)) == 3
    assert in_batches([], work, 2, file=file) == []


def test_a_failure_before_the_first_batch_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "out"

    def fail(after: int) -> None:
        with finished_batches(output, "k") as parts:
            in_batches(range(after), list, 1, file=parts / "f.jsonl")
            raise UserError("It is broken.", "Fix it.")

    with pytest.raises(UserError, match="broken"):
        fail(after=0)
    assert not output.exists()
    with pytest.raises(UserError, match="broken"):
        fail(after=1)
    with pytest.raises(UserError, match="another evaluation"), finished_batches(output, "other"):
        pass
    with finished_batches(output, "k") as parts:
        assert in_batches(range(1), list, 1, file=parts / "f.jsonl") == [0]
        with pytest.raises(UserError, match="another process"), finished_batches(output, "k"):
            pass
    assert [file.name for file in output.iterdir()] == [".lock"]


def answers(path: Path, count: int) -> Path:
    rows = [
        {"set": "forget" if i % 2 else "retain", "question": f"Who is number {i}?",
         "reference": f"Number {i} is Emma, a nurse of {20 + i} from Oslo.",
         "generation": f"That is a teacher called Li Wei, who has {i} cats."}
        for i in range(count)
    ]  # fmt: skip
    write_jsonl(path, rows)
    return path


def kill_when_lines(command: list[str], folder: Path, pattern: str, lines: int) -> None:
    """Start the command; kill it with signal 9 once a file in the folder has that many lines."""

    def reached() -> bool:
        return any(file.read_bytes().count(b"\n") >= lines for file in folder.glob(pattern))

    Command(command).kill_when(reached)


def test_killed_twice_while_judging_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, killed, clean = answers(tmp_path / "a.jsonl", 280), tmp_path / "killed", tmp_path / "ok"
    command = ["evaluate", "--generations", str(file), "--output", str(killed)]
    parts = killed / "parts"
    # 560 texts are three batches, 280 pairs two.
    kill_when_lines(command, parts, "entities.jsonl", 2)
    before = (parts / "entities.jsonl").read_text().splitlines()
    kill_when_lines(command, parts, "entailment.jsonl", 1)
    assert not (killed / "metrics.json").exists()
    entities_done = (parts / "entities.jsonl").read_text().splitlines()
    assert entities_done[: len(before)] == before
    assert len(entities_done) == 3, "a batch was read again"
    done = (parts / "entailment.jsonl").read_bytes().count(b"\n")
    read = []
    for module, name in ((entities, "_answers_entities"), (entailment.EntailmentJudge, "_read")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, n=name, r=real: (read.append(n), r(*a))[1])
    evaluate_generations(file, killed, EvaluationConfig())
    assert read == ["_read"] * (2 - done)
    evaluate_generations(file, clean, EvaluationConfig())
    assert read[2 - done :] == ["_answers_entities"] * 3 + ["_read"] * 2
    assert sorted(f.name for f in killed.iterdir()) == sorted(f.name for f in clean.iterdir())
    for result in ("rows.jsonl", "metrics.json", "intervals.json"):
        assert (killed / result).read_text() == (clean / result).read_text()


def test_killed_while_a_language_model_lists_entities_none_is_asked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    file, output = answers(tmp_path / "a.jsonl", 40), tmp_path / "out"
    with Endpoint(lambda *_: "Entities: Emma, nurse", delay=0.02) as endpoint:
        config = EvaluationConfig(
            entities="llm",
            llm=LLMConfig(base_url=endpoint.base_url, model="served", concurrency=4),
        )
        settings = {
            "entities": "llm", "llm.base_url": endpoint.base_url, "llm.model": "served",
            "llm.concurrency": 4,
        }  # fmt: skip
        command = [
            "evaluate", "--generations", str(file), "--output", str(output),
            *(part for name, value in settings.items()
              for part in ("--set", f"evaluation.{name}={value}")),
        ]  # fmt: skip
        process = Command(command)
        process.kill_when(lambda: sum(endpoint.answered.values()) >= 30)
        evaluate_generations(file, output, config)
        # What was on its way when the process died is lost: at most so many as calls at a time.
        assert sum(count - 1 for count in endpoint.answered.values()) <= 4
        assert len(endpoint.answered) == 80
    assert all(row["entity_coverage"] == 1 for row in read_jsonl(output / "rows.jsonl"))
    assert read_json(output / "judges.json")["entities"] == "llm"
    assert not (output / "parts").exists()


def test_killed_while_labelling_a_file_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, killed = tmp_path / "pairs.tsv", tmp_path / "killed.tsv"
    lines = [f"A man has {i} cats.\tA man has {i % 7} cats." for i in range(300)]  # two batches
    pairs.write_text("premise\thypothesis\n" + "\n".join(lines))
    command = ["judge", "entailment", "--input", str(pairs), "--output", str(killed)]
    kill_when_lines(command, tmp_path, ".killed.tsv.*/entailment.jsonl", 1)
    assert not killed.exists()
    for name in ("killed.tsv", "clean.tsv"):
        label_file(pairs, tmp_path / name, "minilm-nli")
    assert (tmp_path / "killed.tsv").read_text() == (tmp_path / "clean.tsv").read_text()
    assert {f.name for f in tmp_path.iterdir()} == {"pairs.tsv", "killed.tsv", "clean.tsv"}


# The second time it is all there already. What the leader does alone it shares with nobody.
SHARED = """
import json, os
from pathlib import Path
from relearn.base.distributed import by_leader
from relearn.evaluation.batches import finished_batches, in_batches

worked = []

def work(batch):
    worked.extend(batch)
    return [[item, os.environ["RANK"]] for item in batch]

with finished_batches(Path("output"), "key") as parts:
    first = in_batches(list(range(10)), work, 3, file=parts / "made.jsonl")
    files = by_leader(lambda: sorted(file.name for file in parts.glob("made*")))
    again = in_batches(list(range(10)), work, 3, file=parts / "made.jsonl")
    alone = by_leader(lambda: in_batches(["alone"], work, 3))
print(json.dumps([worked, first, files, again, alone, Path("output", "parts").exists()]))
"""


def test_two_processes_share_the_batches(tmp_path: Path) -> None:
    codes, printed, errors = in_two_processes(tmp_path, SHARED)
    assert codes == [0, 0], errors
    (ours, *found), (theirs, *same) = map(json.loads, printed)
    assert ours == [0, 1, 2, 6, 7, 8, "alone"]
    assert theirs == [3, 4, 5, 9]
    assert found == same
    first, files, again, alone, kept = found
    assert first == again == [[i, "1" if i in theirs else "0"] for i in range(10)]
    assert files == ["made.1.jsonl", "made.jsonl"]
    assert alone == [["alone", "0"]]
    assert not kept
