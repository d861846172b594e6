"""A run with a holdout, TOFU's general sets and a model that never saw the forget set."""

from pathlib import Path
from typing import Any

import pytest

from helpers.record_files import as_lines
from relearn.base.errors import UserError
from relearn.base.storage import content_hash, read_json, read_jsonl
from relearn.config import RunConfig, load_config
from relearn.data.sources import load_records
from relearn.earlier import EarlierRun
from relearn.evaluation.suites import load_suite
from relearn.report.results import read_results
from relearn.run import run

TRAINING = {"epochs": 1, "batch_size": 4, "gradient_accumulation": 1, "lora": {"rank": 2}}
JOINT = ("mia_loss_auc", "mia_min_k_auc", "privacy_leakage", "forget_quality", "ks_statistic",
         "model_utility")  # fmt: skip


SUITE = """
metrics: [rougeL_recall]
further: {holdout: [privacy_leakage], retain_model: [truth_ratio, ks_statistic]}
"""


@pytest.fixture
def sources(tmp_path: Path, data_files: Path) -> dict[str, str]:
    """TOFU's sets by setting, and a holdout of its kind."""
    files = {
        "forget": "forget10_perturbed", "retain": "retain_perturbed",
        "real_authors": "real_authors_perturbed", "world_facts": "world_facts_perturbed",
    }  # fmt: skip
    named = {f"data.{name}": str(data_files / "tofu" / f"{f}.json") for name, f in files.items()}
    unseen = load_records(str(data_files / "tofu" / "forget10.json"))[-8:]
    rows = [{"question": record.question, "answer": record.answer} for record in unseen]
    (tmp_path / "holdout.jsonl").write_bytes(as_lines(rows))
    return named | {"data.holdout": str(tmp_path / "holdout.jsonl")}


def configured(model: Path, sources: dict[str, str], **settings: Any) -> RunConfig:
    given = {
        "model.name": str(model), "training": TRAINING | {"objective": "ga"},
        "evaluation.max_new_tokens": 4, "audit": "none",
    }  # fmt: skip
    return load_config(named={**given, **sources, **settings})


def test_a_run_compares_with_the_model_that_never_saw_the_forget_set(
    tmp_path: Path, tiny_model: Path, sources: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEARN_CACHE", str(cache_with_models(tmp_path)))
    made = {"memorize": TRAINING, "evaluation.retain_model": "never_saw"}
    folder = tmp_path / "run"
    summary = run(configured(tiny_model, sources, **made), folder)
    for model in ("target", "unlearned"):
        assert {f"overall/{name}" for name in JOINT} <= set(summary[model]), model
    assert not (folder / "evaluation" / "unlearned" / "not_computed.json").exists()
    assert 0 <= summary["unlearned"]["overall/model_utility"] <= 1
    # The figures that compare are those of the rows of the model that never saw the set.
    rows = read_jsonl(folder / "evaluation" / "never_saw" / "rows.jsonl")
    assert {row["set"] for row in rows} > {"forget", "holdout", "real_authors", "world_facts"}
    never_saw = read_json(folder / "manifest.json")["model"]["never_saw"]
    target = read_json(folder / "manifest.json")["model"]["target"]
    assert content_hash(Path(never_saw)) != content_hash(Path(target))
    assert [model.key for model in read_results(folder).models] == [
        "target", "unlearned", "never_saw",
    ]  # fmt: skip
    assert "Never saw it" in (folder / "report.html").read_text()


def cache_with_models(folder: Path) -> Path:
    from relearn.store.cache import cache_folder

    (folder / "cache").mkdir()
    (folder / "cache" / "embedded").symlink_to(cache_folder() / "embedded")
    return folder / "cache"


def test_no_model_learns_the_sets_that_are_only_evaluated(
    tmp_path: Path, tiny_model: Path, sources: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[str] = []

    def memorize(records: Any, *_: object) -> Path:
        learned.extend(record.question for record in records)
        raise UserError("far enough")

    monkeypatch.setattr("relearn.stages.memorize", memorize)
    with pytest.raises(UserError, match="far enough"):
        run(configured(tiny_model, sources, memorize=TRAINING), tmp_path / "run")
    for name, source in sources.items():
        asked = {record.question for record in load_records(source)}
        trained = name in ("data.forget", "data.retain")
        assert asked <= set(learned) if trained else not asked & set(learned), name


def test_a_retain_model_by_name_or_by_its_results(
    tmp_path: Path, tiny_model: Path, sources: dict[str, str]
) -> None:
    """A retain model that is the target itself: nothing tells them apart before unlearning."""
    sources = {name: sources[name] for name in ("data.forget", "data.retain", "data.holdout")}
    (tmp_path / "suite.yaml").write_text(SUITE)
    sources["evaluation.suite"] = str(tmp_path / "suite.yaml")
    named = {"evaluation.retain_model": str(tiny_model)}
    summary = run(configured(tiny_model, sources, **named), tmp_path / "run")
    assert summary["target"]["overall/privacy_leakage"] == pytest.approx(0)
    assert summary["target"]["overall/ks_statistic"] == 0
    assert read_json(tmp_path / "run/manifest.json")["model"]["never_saw"] == str(tiny_model)

    # It may know what the next request wants forgotten.
    assert "never_saw" not in EarlierRun(tmp_path / "run").model

    results = {"evaluation.retain_model": str(tmp_path / "run" / "evaluation" / "target")}
    again = run(configured(tiny_model, sources, **results), tmp_path / "again")
    assert again["unlearned"] == summary["unlearned"]
    assert not (tmp_path / "again" / "evaluation" / "never_saw").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"evaluation.retain_model": "never_saw"}, "only if it makes its target"),
        ({"evaluation.retain_model": "no-such-model"}, "'no-such-model' was not found"),
        ({"data.holdout": "FORGET"}, "forget and holdout sets ask the same in 8 records"),
    ],
)
def test_what_is_refused_beforehand(
    tmp_path: Path, tiny_model: Path, sources: dict[str, str], settings: dict[str, str], says: str
) -> None:
    if "data.holdout" in settings:
        settings = {"data.holdout": sources["data.forget"]}
    with pytest.raises(UserError, match=says):
        run(configured(tiny_model, sources, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_default_suite_grows_with_what_there_is() -> None:
    suite = load_suite("relearn")
    plain = set(suite.metric_names({"forget": [], "retain": []}))
    assert not {name for name in plain if name.startswith("mia_")} | plain & set(JOINT)
    assert "mia_loss_auc" in suite.metric_names({"forget": [], "holdout": []})
    assert "model_utility" in suite.metric_names({"forget": [], "world_facts": []})
    assert "forget_quality" in suite.metric_names({"forget": []}, retain_model="somewhere")


def test_only_leaves_the_general_sets_whole(
    tmp_path: Path, tiny_model: Path, sources: dict[str, str]
) -> None:
    from relearn.data.run_sets import read_run_sets

    config = configured(tiny_model, sources, **{"data.only": ["Yun-Hwa", "the"]})
    sets, _ = read_run_sets(config.data, config.model)
    assert len(sets["world_facts"].records) == len(load_records(sources["data.world_facts"]))
