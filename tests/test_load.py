"""Time and memory that grow with the records, and no faster: what `benchmarks/load.py` measures."""

import gc
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from relearn.base.storage import content_hash, write_jsonl
from relearn.config import ModelConfig
from relearn.data.checks import check_sets
from relearn.data.records import dumped
from relearn.data.sources import load_records
from relearn.evaluation.metrics import METRICS
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.significance import intervals, permutation
from relearn.models.loading import load_prompt_format
from relearn.report.results import MOST_EXAMPLES, read_results
from relearn.training.answers import encode_rows


def write_records(file: Path, count: int, about: str = "Person") -> Path:
    """Write records whose texts have 42 to 80 characters."""
    write_jsonl(
        file,
        (
            {"question": f"Where does {about} number {i} of the list live, and since when?",
             "answer": f"{about} {i} has lived at {i} Mill Lane in Aldmoor since the year {i}."}
            for i in range(count)
        ),
    )  # fmt: skip
    return file


def peak(work: Callable[[], object]) -> tuple[int, int]:
    """Return the bytes that work holds at most, and those that its result holds."""
    gc.collect()
    tracemalloc.start()
    try:
        result = work()
        held, most = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return most, held


def growth(few: Callable[[], object], many: Callable[[], object]) -> float:
    """Return how many times as long `many` takes as `few`.

    Each by the fastest of five attempts, in turns: others may be at work beside them. Python's
    collector is held off, whose time depends on all else that is in memory.
    """
    found: dict[Callable[[], object], list[float]] = {few: [], many: []}
    for _ in range(5):
        for work, times in found.items():
            gc.collect()
            gc.disable()
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
            gc.enable()
    return min(found[many]) / min(found[few])


def test_records_in_memory_take_little_more_than_their_texts(tmp_path: Path) -> None:
    count = 5000
    file = write_records(tmp_path / "records.jsonl", count)
    load_records(str(write_records(tmp_path / "few.jsonl", 10)))
    most, held = peak(lambda: load_records(str(file)))
    assert held / count < 1000
    assert most / count < 2000
    records = load_records(str(file))
    # Neither is a list of all of them made for it.
    assert peak(lambda: content_hash(dumped(records)))[0] < 200_000
    assert peak(lambda: write_jsonl(tmp_path / "again.jsonl", dumped(records)))[0] < 200_000
    assert peak(lambda: list(dumped(records)))[0] > 1_500_000


def test_tokenized_rows_are_small(tmp_path: Path, tiny_model: Path) -> None:
    count = 1000
    records = load_records(str(write_records(tmp_path / "records.jsonl", count)))
    prompts = load_prompt_format(tiny_model, ModelConfig())
    encode_rows(records, prompts, 512, 2048)
    most, held = peak(lambda: encode_rows(records, prompts, 512, 2048))
    tokens = sum(map(len, encode_rows(records, prompts, 512, 2048))) / count
    # A list has eight bytes for a token; a number of its own would take 28 more.
    assert held / count < 14 * tokens + 300
    assert most < 1.5 * held


def test_checks_take_linear_time(tmp_path: Path) -> None:
    def work(count: int) -> Callable[[], object]:
        sets = {
            name: load_records(str(write_records(tmp_path / f"{name}.jsonl", count, name)))
            for name in ("forget", "retain")
        }
        return lambda: check_sets(sets)

    assert growth(work(2000), work(8000)) < 8


def test_metrics_take_linear_time_and_bounded_memory() -> None:
    def work(count: int) -> Callable[[], object]:
        rng = np.random.default_rng(0)
        rows = [
            EvaluatedRow(
                set="forget", question="", reference="", generation="", scores={"kfr": float(score)}
            )
            for score in rng.integers(0, 2, count)
        ]
        return lambda: intervals({"forget": rows}, {"forget/kfr": 0.5}, {"kfr": METRICS["kfr"]})

    assert growth(work(15_000), work(60_000)) < 8
    assert peak(work(60_000))[0] < 600e6
    columns = np.random.default_rng(0).random((2, 100_000))
    assert peak(lambda: permutation(columns[:1], columns[1:]))[0] < 600e6


def test_a_page_shows_so_many_of_a_large_set(tmp_path: Path) -> None:
    count = 2 * MOST_EXAMPLES + 1
    for model in ("target", "unlearned"):
        folder = tmp_path / "evaluation" / model
        rows = (
            {"set": "forget", "id": str(i), "question": f"{i}?", "reference": "a",
             "generation": f"{model} {i}"}
            for i in range(count)
        )  # fmt: skip
        write_jsonl(folder / "rows.jsonl", rows)
        (folder / "metrics.json").write_text("{}")
    (tmp_path / "config.yaml").touch()
    found = read_results(tmp_path)
    assert found.questions == count
    assert found.models[0].rows == {"forget": count}
    assert MOST_EXAMPLES // 2 < len(found.examples) <= MOST_EXAMPLES
    assert all(
        example.answers[model]["generation"] == f"{model} {example.id}"
        for example in found.examples
        for model in ("target", "unlearned")
    )
