"""Deletion requests in a row: each run goes on from the one before, and forgets nothing of it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from transformers import PreTrainedModel

from relearn.base.errors import UserError
from relearn.base.storage import content_hash, read_json, read_jsonl, write_json, write_jsonl
from relearn.config import RunConfig, dump_config, load_config
from relearn.data.sources import load_records
from relearn.run import run
from relearn.run_folder import adapter_folder, target_folder

SETTINGS = {
    "synthesis.variants": 1, "synthesis.generic_ratio": 0.2,
    "training.objective": "relearn", "training.epochs": 1, "training.learning_rate": 1e-3,
    "training.gradient_accumulation": 1,
    "training.lora.rank": 4, "evaluation.max_new_tokens": 4, "audit.attacks": ["question"],
    "report.redact": True,
}  # fmt: skip


def write(folder: Path) -> None:
    """Three requests of two records each; the third is about what was to be kept before."""
    rows = {
        name: [
            {"question": record.question, "answer": record.answer}
            for record in load_records(f"demo:{name}")
        ]
        for name in ("forget", "retain")
    }
    requests = [rows["forget"][:2], rows["forget"][2:4], rows["retain"][:2]]
    for number, request in enumerate(requests, 1):
        write_jsonl(folder / f"forget-{number}.jsonl", request)
    write_jsonl(folder / "retain.jsonl", rows["retain"][:6])


def configured(folder: Path, number: int, **settings: Any) -> RunConfig:
    """Return what `relearn run --after RUN --forget FILE` makes of it."""
    named = {"data.forget": str(folder / f"forget-{number}.jsonl")}
    if number > 1:
        named["after"] = str(folder / str(number - 1))
    return load_config(named=named | settings, inherit=True)


@pytest.fixture(scope="module")
def folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three runs in a row, the first with a target of its own."""
    folder = tmp_path_factory.mktemp("sequence")
    write(folder)
    first = SETTINGS | {
        "model.name": str(tiny_model),
        "data.retain": str(folder / "retain.jsonl"),
        "memorize.epochs": 1,
        "memorize.lora.rank": 4,
    }
    with pytest.MonkeyPatch.context() as patch:
        cache = Path(os.environ.get("RELEARN_CACHE", "~/.cache/relearn")).expanduser()
        (folder / "cache").mkdir()
        (folder / "cache" / "embedded").symlink_to(cache / "embedded")
        patch.setenv("RELEARN_CACHE", str(folder / "cache"))
        run(configured(folder, 1, **first), folder / "1")
        before = content_hash(folder / "1")
        for number in (2, 3):
            run(configured(folder, number), folder / str(number))
        assert content_hash(folder / "1") == before, "an earlier run was changed"
        yield folder


def test_a_further_run_takes_settings_and_retain_data_from_the_run_before(folder: Path) -> None:
    first, third = (load_config(folder / number / "config.yaml") for number in "13")
    for section in ("model", "synthesis", "training", "evaluation", "audit", "report", "seed"):
        assert getattr(first, section) == getattr(third, section)
    assert third.memorize is None
    kept = [read_jsonl(folder / number / "data" / "retain.jsonl") for number in "123"]
    assert kept[0] == kept[1]
    # What is now to be forgotten is no longer kept.
    assert kept[2] == kept[0][2:]


def test_how_a_run_came_about_is_not_taken_from_it(tmp_path: Path) -> None:
    past = {
        "after": "0", "baselines": {"npo": {"objective": "npo"}}, "memorize": {}, "seed": 3,
        "data": {"forget": "a.csv", "forget_unseen": "b.csv", "columns": {"question": "q"}},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(dump_config(RunConfig.model_validate(past)))
    assert configured(tmp_path, 2, after=str(tmp_path)) == RunConfig.model_validate(
        {"after": str(tmp_path), "seed": 3, "data": {"forget": str(tmp_path / "forget-2.jsonl")}}
    )


def test_what_is_said_wins_over_the_run_before(folder: Path) -> None:
    config = configured(folder, 2, **{"training.epochs": 7, "data.retain": "mine.jsonl"})
    assert (config.training.epochs, config.data.retain) == (7, "mine.jsonl")
    assert config.training.learning_rate == 1e-3


def test_the_target_stays_the_first_and_one_adapter_holds_all(folder: Path) -> None:
    assert len({target_folder(folder / number) for number in "123"}) == 1
    weights = [
        load_file(adapter_folder(folder / number, "unlearned") / "adapter_model.safetensors")
        for number in "13"
    ]
    assert {k: w.shape for k, w in weights[0].items()} == {
        k: w.shape for k, w in weights[1].items()
    }
    entry = read_json(folder / "3" / "manifest.json")
    assert entry["data"]["after"]["source"] == str(folder / "2")
    assert entry["data"]["after"]["sha256"] == content_hash(
        adapter_folder(folder / "2", "unlearned")
    )
    assert (
        entry["model"]["never_saw"]
        == read_json(folder / "1" / "manifest.json")["model"]["never_saw"]
    )


def test_earlier_requests_are_kept_in_order_and_their_answers_rehearsed(folder: Path) -> None:
    earlier = read_jsonl(folder / "3" / "data" / "forget_earlier.jsonl")
    own = [read_jsonl(folder / number / "data" / "forget.jsonl") for number in "12"]
    assert [r["question"] for r in earlier] == [r["question"] for of in own for r in of]
    assert [r["id"] for r in earlier] == [
        "1/forget-00001",
        "1/forget-00002",
        "2/forget-00001",
        "2/forget-00002",
    ]
    answers = read_jsonl(folder / "3" / "earlier" / "synthesis.jsonl")
    written = [
        row
        for number in "12"
        for row in read_jsonl(folder / number / "synthesis" / "augmented.jsonl")
        if row["kind"] != "generic"
    ]
    assert [row["answer"] for row in answers] == [row["answer"] for row in written]
    steps = [len(read_jsonl(folder / n / "training/unlearned/history.jsonl")) for n in "12"]
    rows = [len(read_jsonl(folder / n / "synthesis/augmented.jsonl")) for n in "12"]
    rehearsed = min(rows[1], len([row for row in answers if row["source_id"][0] == "1"]))
    assert steps == [-(-rows[0] // 4), -(-(rows[1] + rehearsed) // 4)]


def test_every_request_is_evaluated_and_attacked(folder: Path) -> None:
    summary = read_json(folder / "3" / "summary.json")
    assert [entry["run"] for entry in summary["sequence"]] == ["1", "2", "3"]
    assert [entry["records"] for entry in summary["sequence"]] == [2, 2, 2]
    assert [len(entry["kfr"]) for entry in summary["sequence"]] == [1, 2, 3]
    rows = read_jsonl(folder / "3" / "evaluation" / "unlearned" / "rows.jsonl")
    forgotten = {(row["set"], row["id"][0]): [] for row in rows if row["set"].startswith("forget")}
    for row in rows:
        if row["set"].startswith("forget"):
            forgotten[row["set"], row["id"][0]].append(row["forgotten"])
    assert summary["sequence"][-1]["kfr"] == [
        sum(of) / 2
        for of in (
            forgotten["forget_earlier", "1"],
            forgotten["forget_earlier", "2"],
            forgotten["forget", "f"],
        )
    ]
    assert summary["unlearned"]["forget_earlier/kfr"] == sum(summary["sequence"][-1]["kfr"][:2]) / 2
    attacked = {
        row["id"]
        for row in read_jsonl(folder / "3" / "audit" / "question.jsonl")
        if row["model"] == "unlearned"
    }
    assert attacked == {
        *(
            "1/forget-00001",
            "1/forget-00002",
            "2/forget-00001",
            "2/forget-00002",
            "forget-00001",
            "forget-00002",
        )
    }
    page = (folder / "3" / "report.html").read_text()
    assert "Deletion requests so far" in page
    assert str(folder) not in page, "a path is not redacted"


def test_it_goes_on_at_the_next_stage_where_it_was_killed(folder: Path) -> None:
    manifest = folder / "3" / "manifest.json"
    stages = read_json(manifest)["stages"]
    run(configured(folder, 3), folder / "3")
    assert read_json(manifest)["stages"] == stages


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"after": "nowhere"}, "nowhere is no run folder"),
        ({"model.name": "smollm2-135m"}, "model.name is not that of"),
        ({"model.system": "Be brief."}, "model.system is not that of"),
        ({"memorize.epochs": 1}, "memorize: the target model is that of"),
        ({"training.lora.rank": 8}, "training.lora is not that of"),
        ({"training.method": "full"}, "training.method is not that of"),
        ({"training.wrapper": "sure"}, "training.wrapper needs a training that starts"),
        ({"baselines.ga.objective": "ga"}, "no trained model 'ga'"),
        ({"data.forget": None}, "there is no forget set"),
    ],
)
def test_what_does_not_go_with_the_run_before_is_refused(
    folder: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        run(configured(folder, 2, **settings), tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_retain_set_of_which_nothing_is_left_is_refused(folder: Path, tmp_path: Path) -> None:
    retain = str(folder / "forget-2.jsonl")
    with pytest.raises(UserError, match="all of the retain set is to be forgotten now"):
        run(configured(folder, 2, **{"data.retain": retain}), tmp_path / "new")


def test_a_whole_model_goes_on_as_it_was_left(
    folder: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trained(Exception):  # noqa: N818  # it is no error
        pass

    def train(model: PreTrainedModel, *_: Any, adapter: Path | None, **__: Any) -> None:
        raise Trained(model.name_or_path, adapter)

    copy = _copy(folder / "1", tmp_path / "full")
    config = load_config(copy / "config.yaml", ["training.method=full"])
    (copy / "config.yaml").write_text(dump_config(config))
    trained = copy / "training" / "unlearned"
    (trained / "adapter_config.json").unlink()
    shutil.copytree(tiny_model, trained, dirs_exist_ok=True)
    monkeypatch.setattr("relearn.stages.train", train)
    with pytest.raises(Trained) as caught:
        run(configured(folder, 2, after=str(copy)), tmp_path / "new")
    assert caught.value.args == (str(trained), None)


def test_a_scaled_adapter_does_not_go_on(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder / "1", tmp_path / "scaled")
    config = load_config(copy / "config.yaml", ["training.lora.scale=0.5"])
    (copy / "config.yaml").write_text(dump_config(config))
    with pytest.raises(UserError, match=r"training\.lora\.scale needs a training that starts"):
        run(configured(folder, 2, after=str(copy)), tmp_path / "new")


def test_a_run_does_not_go_on_from_itself_or_from_one_that_is_not_done(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="is the --output folder too"):
        run(configured(folder, 2), folder / "1")
    copy = _copy(folder / "1", tmp_path / "half")
    (copy / "summary.json").unlink()
    with pytest.raises(UserError, match="is not a finished run"):
        run(configured(folder, 2, after=str(copy)), tmp_path / "new")


def test_a_target_that_has_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder / "1", tmp_path / "moved")
    manifest = read_json(copy / "manifest.json")
    manifest["model"]["target_sha256"] = "other"
    write_json(copy / "manifest.json", manifest)
    with pytest.raises(UserError, match="has changed since"):
        run(configured(folder, 2, after=str(copy)), tmp_path / "new")


def _copy(run_folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(run_folder, to))
