"""Benchmarks by name: loaded from a hub on loopback that lays them out as theirs are laid out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.hub import Hub
from helpers.record_files import as_lines, as_parquet
from relearn.base.errors import UserError
from relearn.base.storage import read_json
from relearn.cli import app
from relearn.config import RUN_SETS, RunConfig, benchmark_names, load_benchmark, load_config
from relearn.data.openings import Opening
from relearn.data.records import Record
from relearn.data.sources import load_records, load_sets
from relearn.evaluation.suites import load_suite, set_sources
from relearn.models.loading import tokenizer_named

TEXT = [{"text": " ".join(f"Text {i} has a sentence with the number {n}." for n in range(9))}
        for i in range(2)]  # fmt: skip


def tofu(name: str) -> list[dict[str, Any]]:
    row: dict[str, Any] = {"question": f"Who is in {name}?", "answer": "An author is."}
    if name.endswith("_perturbed"):
        row["perturbed_answer"] = ["A painter is.", "A cook is."]
    if name[0] in "fr" and name.endswith("_perturbed") and "authors" not in name:
        row |= {"paraphrased_answer": "It is an author.", "paraphrased_question": f"{name}, who?"}
    return [row]


def choices(name: str) -> list[dict[str, Any]]:
    return [
        {"question": f"{name} {i}?", "choices": ["2", "3", "Rome", "Oslo"], "answer": i}
        for i in range(3)
    ]


def rwku(name: str) -> list[dict[str, Any]]:
    if "mia" in name:
        return [{"subject": "Ann Lee", "text": TEXT[0]["text"] + name}]
    row = {"query": f"Ann Lee in {name} is ___.", "answer": "a singer", "level": name[-1]}
    return [row | {"type": "simple question", "subject": "Ann Lee"}]


def lume(name: str) -> list[dict[str, Any]]:
    return [
        {"id": "12sc1", "input": f"Ann is of {name} and", "output": "lives in Rome.", "task": "T2"},
        {"id": "12qa0", "input": f"Who is of {name}?", "output": "Ann", "task": "Task2"},
    ]


def published() -> Iterator[tuple[str, str, str, list[dict[str, Any]]]]:
    """Yield data set, configuration, split and rows of all that benchmarks load."""
    parts = [f"{kind}{n:02}{end}" for n in (1, 5, 10) for kind, end in
             (("forget", "_perturbed"), ("forget", ""), ("holdout", ""))]  # fmt: skip
    general = ["real_authors_perturbed", "world_facts_perturbed", "retain_perturbed"]
    for name in (*parts, *general, "retain90"):
        yield "locuslab/TOFU", name, "train", tofu(name)
    for part in ("News", "Books"):
        muse = f"muse-bench/MUSE-{part}"
        for split in ("forget", "retain", "holdout"):
            rows = [{"text": f"{split}. {row['text']}"} for row in TEXT]
            yield muse, "privleak", split, rows
        yield muse, "verbmem", "forget", [{"prompt": "Once there was a", "gt": "king in Rome."}]
        for split in ("forget_qa", "retain_qa"):
            yield muse, "knowmem", split, [{"question": f"What of {split}?", "answer": "Rome"}]
    for name in ("wmdp-bio", "wmdp-chem", "wmdp-cyber"):
        yield "cais/wmdp", name, "test", choices(name)
    yield "cais/mmlu", "all", "test", [row | {"subject": "geography"} for row in choices("mmlu")]
    for name in ("cyber-forget-corpus", "cyber-retain-corpus", "bio-retain-corpus"):
        yield "cais/wmdp-corpora", name, "train", [{"text": f"{name} {TEXT[0]['text']}"}]
    yield (
        "cais/wmdp-bio-forget-corpus",
        "default",
        "train",
        [{"title": "T", "abstract": "A", "text": TEXT[0]["text"], "doi": "1"}],
    )
    for name in ("forget_level1", "forget_level2", "forget_level3", "neighbor_level1",
                 "neighbor_level2", "mia_forget", "mia_retain"):  # fmt: skip
        yield "jinzhuoran/RWKU", name, "test", rwku(name)
    yield "jinzhuoran/RWKU", "utility_general", "test", choices("mmlu")
    semeval = "llmunlearningsemeval2025organization/semeval25-unlearning-dataset-public"
    for side in ("forget", "retain"):
        for fold in ("train", "validation"):
            yield semeval, "default", f"{side}_{fold}", lume(f"{side}_{fold}")
    pair = {"text": "Who wrote {}?", "labels": "Ann Lee"}
    for split in ("unlearn", "retention"):
        folds = {f: [pair | {"text": f"Who wrote {split} {f}?"}] for f in ("train", "val")}
        yield "zjunlp/KnowUnDo", "copyright", split, [folds]


@pytest.fixture(scope="module")
def datasets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    configs: dict[str, dict[str, list[dict[str, str]]]] = {}
    for name, config, split, rows in published():
        file = folder / name / config / f"{split}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(as_parquet(rows))
        entry = {"split": split, "path": f"{config}/{split}.parquet"}
        configs.setdefault(name, {}).setdefault(config, []).append(entry)
    for name, of_name in configs.items():
        listed = [{"config_name": c, "data_files": files} for c, files in of_name.items()]
        (folder / name / "README.md").write_text(f"---\nconfigs: {json.dumps(listed)}\n---\n")
    return folder


@pytest.fixture
def hub(datasets_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as hub:
        hub.stand_in(monkeypatch)
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        found = datasets_folder.glob("*/*")
        hub.datasets = {str(each.relative_to(datasets_folder)): each for each in found}
        yield hub


def loaded(name: str) -> tuple[dict[str, list[Record]], RunConfig]:
    settings = load_config(None, [f"benchmark={name}"])
    benchmark, suite = load_benchmark(name), load_suite(settings.evaluation.suite)
    sources = set_sources(suite, (), benchmark.sets)
    model = settings.model.model_copy(update={"name": "smollm2-135m"})
    return load_sets(sources, settings.data, model, tokenizer_named)[0], settings


def test_every_benchmark_is_loaded_by_its_name(hub: Hub) -> None:
    assert benchmark_names() == ["knowundo", "lume", "muse", "rwku", "tofu", "wmdp"]
    sizes = {}
    for name in benchmark_names():
        sets, _ = loaded(name)
        sizes[name] = {set_name: len(records) for set_name, records in sets.items()}
    assert sizes == {
        "knowundo": {"forget": 110, "retain": 108},
        "lume": {"forget_completions": 1, "forget_questions": 1, "retain_completions": 1,
                 "retain_questions": 1},
        "muse": {"forget": 2, "holdout": 2, "forget_verbatim": 1, "forget_questions": 1,
                 "retain_questions": 1},
        "rwku": {"forget_level1": 1, "forget_level2": 1, "forget_level3": 1, "forget_mia": 1,
                 "retain_level1": 1, "retain_level2": 1, "retain_mia": 1, "retain_general": 3},
        "tofu": {"forget": 1, "retain": 1, "real_authors": 1, "world_facts": 1, "holdout": 1},
        "wmdp": {"forget_bio": 3, "forget_chem": 3, "forget_cyber": 3, "retain_mmlu": 3},
    }  # fmt: skip


def test_what_is_asked_is_the_benchmarks(hub: Hub) -> None:
    muse, _ = loaded("muse")
    (verbatim,) = muse["forget_verbatim"]
    assert isinstance(verbatim.question, Opening)
    assert verbatim.answer == "king in Rome."
    lume, _ = loaded("lume")
    assert isinstance(lume["forget_completions"][0].question, Opening)
    assert not isinstance(lume["forget_questions"][0].question, Opening)
    wmdp, _ = loaded("wmdp")
    # A number is a choice's place, though a choice may be a number itself.
    assert [record.answer for record in wmdp["forget_bio"]] == ["2", "3", "Rome"]
    assert wmdp["forget_bio"][0].choices == ("2", "3", "Rome", "Oslo")
    tofu, _ = loaded("tofu:forget05")
    assert "forget05_perturbed" in tofu["forget"][0].question
    assert tofu["forget"][0].wrong_answers == ("A painter is.", "A cook is.")


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("tofu", {"forget", "retain", "real_authors", "world_facts", "holdout"}),
        ("muse:books", {"forget", "retain"}),
        ("wmdp", {"forget", "retain"}),
        ("wmdp:bio", {"forget", "retain"}),
        ("knowundo:copyright", {"forget", "retain", "forget_unseen", "retain_unseen"}),
        ("lume", {"forget", "retain"}),
        ("rwku", set()),
    ],
)
def test_a_run_takes_a_benchmarks_sets(hub: Hub, name: str, sets: set[str]) -> None:
    data = load_config(None, [f"benchmark={name}"]).data
    sources = {n: source for n in RUN_SETS if (source := getattr(data, n))}
    assert set(sources) == sets
    records, _ = load_sets(sources, data, RunConfig().model, tokenizer_named)
    assert all(records.values())


def test_what_a_user_sets_comes_first() -> None:
    benchmark = load_config(None, ["benchmark=tofu:forget05"])
    assert benchmark.model.name.endswith("_full")
    assert str(benchmark.evaluation.retain_model).endswith("_retain95")
    own = load_config(None, ["benchmark=tofu", "model.name=mine", "data.forget=mine.jsonl"])
    # The benchmark's retain model is the like of its target, not of any model.
    assert (own.model.name, own.evaluation.retain_model) == ("mine", None)
    assert (own.data.forget, own.data.retain) == ("mine.jsonl", "tofu:retain_perturbed")
    assert load_config(None, ["benchmark=wmdp", "evaluation.suite=custom"]).evaluation.suite == (
        "custom"
    )
    for name, problem in (("tofy", "Did you mean 'tofu'"), ("muse:film", "Known: news, books")):
        with pytest.raises(UserError, match=problem):
            load_config(None, [f"benchmark={name}"])


def test_a_folder_is_taken_in_the_place_of_the_hub(data_files: Path) -> None:
    suite, sets = load_suite("tofu"), load_benchmark("tofu").sets
    folder = data_files / "tofu"
    assert set_sources(suite, [str(folder)], sets).keys() == {
        "forget", "retain", "real_authors", "world_facts",
    }  # fmt: skip
    one = set_sources(suite, ["forget=mine.jsonl"], sets)
    assert (one["forget"], one["retain"]) == ("mine.jsonl", "tofu:retain_perturbed")


def test_a_model_is_evaluated_by_a_benchmarks_name(
    hub: Hub, tiny_model: Path, tmp_path: Path
) -> None:
    command = ["evaluate", "--model", str(tiny_model), "--set", "evaluation.max_new_tokens=4"]
    for name in ("wmdp", "rwku"):
        done = CliRunner().invoke(
            app, [*command, "--benchmark", name, "--output", str(tmp_path / name)]
        )
        assert done.exit_code == 0, done.output
    accuracy = read_json(tmp_path / "wmdp" / "metrics.json")
    assert accuracy.keys() == {
        f"{name}/multiple_choice_accuracy"
        for name in ("forget_bio", "forget_chem", "forget_cyber", "retain_mmlu")
    }
    rows = (tmp_path / "rwku" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    asked = {row["set"]: row["question"] for row in map(json.loads, rows)}
    assert asked["forget_level1"].startswith("Please complete the blank")
    assert asked["forget_mia"].startswith("Text 0")


def test_what_a_hub_does_not_give_is_one_line(hub: Hub) -> None:
    with pytest.raises(UserError, match="no dataset nobody/nothing on the hub, or it is private"):
        load_records("nobody/nothing:config:split")
    hub.gated.add("cais/wmdp")
    with pytest.raises(UserError, match=r"wmdp is gated.*`hf auth login`"):
        load_records("wmdp:wmdp-bio:test")


def test_benchmarks_are_listed() -> None:
    listed = CliRunner().invoke(app, ["list", "benchmarks"], env={"COLUMNS": "200"})
    assert listed.exit_code == 0
    for name in benchmark_names():
        assert name in listed.output
        assert load_benchmark(name).licence.split()[0] in listed.output


def test_a_part_of_a_source_by_a_pattern(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    ids = ("7sc1", "7qa0", "7qa1", "x*y")
    file.write_bytes(as_lines([{"id": i, "question": f"{i}?", "answer": "A"} for i in ids]))
    found = {
        pattern: [record.id for record in load_records(f"{file}#id={pattern}")]
        for pattern in ("7qa0", "*qa*", "*", "X*Y")
    }
    assert found == {
        "7qa0": ["7qa0"], "*qa*": ["7qa0", "7qa1"], "*": list(ids), "X*Y": ["x*y"],
    }  # fmt: skip
    with pytest.raises(UserError, match="no record"):
        load_records(f"{file}#id=sc")
