import json
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.record_files import ROWS, as_lines, pairs
from relearn.base.errors import UserError
from relearn.config import EVALUATED_ONLY, RUN_SETS, DataConfig, ModelConfig, load_config
from relearn.data.checks import check_sets
from relearn.data.formats import read_rows
from relearn.data.hub_datasets import dataset_rows
from relearn.data.kept_facts import kept_facts
from relearn.data.records import Record
from relearn.data.sources import DEMO_SETS, load_records, load_sets

OWN_SETS = [name for name in RUN_SETS if name not in EVALUATED_ONLY]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for source in (
        tmp_path / "none.jsonl",
        "data/none.csv",
        "none",
        f"{tmp_path}/none",
        "x" * 9999,
    ):
        with pytest.raises(UserError, match="does not exist"):
            load_records(str(source))
    with pytest.raises(UserError, match="is a folder"):
        load_records(str(tmp_path))
    with pytest.raises(UserError, match="is not a regular file"):
        load_records("/dev/null")


# The shipped sample


def test_demo_sets_are_disjoint_and_of_the_stated_size() -> None:
    sets = {name: load_records(f"demo:{name}", set_name=name) for name in DEMO_SETS}
    assert [len(records) for records in sets.values()] == [
        *(32, 32, 44, 40), *(400, 441, 110, 108), *(56, 56, 24, 24), 370,
    ]  # fmt: skip
    assert sets["retain"][0].id == "retain-00001"
    for kind in ("", "knowundo_", "tofu_"):
        assert not check_sets({name: sets[f"{kind}{name}"] for name in OWN_SETS})


def test_unknown_demo_set() -> None:
    with pytest.raises(UserError, match=r"demo:all. Known: demo:forget, demo:retain"):
        load_records("demo:all")


def test_demo_is_cut_from_knowundo() -> None:
    """Four questions of an author are to be forgotten, four to be kept, and all others unseen.

    But those that ask for what is to be forgotten.
    """
    authors = ["evelyn smith", "Samuel Johnson", "Chloe Dubois", "Michael O'Connor", "Li Wei",
               "Amina Mohammed", "Carlos Rivera", "Sven Eriksson"]  # fmt: skip
    sources = {name: f"demo:knowundo_{name}" for name in OWN_SETS}
    cut, _ = load_sets(sources, DataConfig(only=authors), ModelConfig())
    demo = {name: load_records(f"demo:{name}") for name in OWN_SETS}
    for name in ("forget", "retain"):
        seen, unseen = (pairs(demo[f"{name}{more}"]) for more in ("", "_unseen"))
        source = cut[name] + cut[f"{name}_unseen"]
        asking = {id_ for _, id_ in kept_facts(demo | {"source": source})["source"]}
        left_out = pairs([r for r in source if name == "retain" and r.id in asking])
        assert sorted(seen + unseen) == sorted({*pairs(source)} - ({*left_out} - {*seen}))
        assert not {*seen} & {*pairs(cut[f"{name}_unseen"])}
        told = [" ".join(pair).lower() for pair in seen]
        assert [sum(author.lower() in text for text in told) for author in authors] == [4] * 8


def test_a_set_of_which_nothing_is_wanted() -> None:
    with pytest.raises(UserError, match="no question of the forget set holds any of Nobody"):
        load_sets({"forget": "demo:forget"}, DataConfig(only=["Nobody"]), ModelConfig())


# Real files


def check_published(file: Path, size: int, wrong_answers: int, paraphrases: int) -> None:
    records = load_records(str(file))
    assert len(records) == size
    assert {len(record.wrong_answers) for record in records} == {wrong_answers}
    assert {len(record.paraphrases) for record in records} == {paraphrases}


@pytest.mark.parametrize(
    ("file", "size", "wrong_answers", "paraphrases"),
    [
        ("tofu/forget10.json", 400, 0, 0),
        ("tofu/forget10_perturbed.json", 8, 5, 1),
        ("tofu/world_facts_perturbed.json", 5, 3, 0),
    ],
)
def test_published_files(
    data_files: Path, file: str, size: int, wrong_answers: int, paraphrases: int
) -> None:
    check_published(data_files / file, size, wrong_answers, paraphrases)


@pytest.mark.parametrize(
    ("file", "size", "wrong_answers", "paraphrases"),
    [
        ("knowundo_privacy/full.json", 1059, 0, 0),
        ("tofu/full.json", 4000, 0, 0),
        ("tofu/forget10_perturbed.json", 400, 5, 1),
        ("tofu/world_facts_perturbed.json", 117, 3, 0),
    ],
)
def test_whole_published_files(
    whole_data: Path, file: str, size: int, wrong_answers: int, paraphrases: int
) -> None:
    check_published(whole_data / file, size, wrong_answers, paraphrases)


def test_places_in_a_published_list_are_physical_lines(knowundo: Path) -> None:
    data = (knowundo / "unlearn_train.json").read_bytes()
    lines = data.decode().split("\n")
    for row in read_rows(data, "unlearn_train.json"):
        assert json.dumps(row.fields["text"]) in lines[int(row.place.split()[1])]


@pytest.mark.parametrize(
    ("forget", "retain"),
    [
        ("unlearn_train", "retention_train"),
        ("unlearn_val", "retention_val"),
        ("unlearn_train", "retention_val"),
        ("forget10_perturbed", "retain_perturbed"),
    ],
)
def test_published_pairs_of_sets_are_disjoint(
    data_files: Path, knowundo: Path, forget: str, retain: str
) -> None:
    folder = data_files / "tofu" if "perturbed" in forget else knowundo
    sets = {name: load_records(str(folder / f"{name}.json")) for name in (forget, retain)}
    assert not check_sets(sets)


@pytest.mark.parametrize(
    ("forget", "retain"),
    [
        ("forget01", "retain99"),
        ("forget05", "retain95"),
        ("forget10", "retain90"),
        ("forget10_perturbed", "retain_perturbed"),
    ],
)
def test_whole_published_pairs_of_sets_are_disjoint(
    whole_data: Path, forget: str, retain: str
) -> None:
    check_sets({n: load_records(str(whole_data / f"tofu/{n}.json")) for n in (forget, retain)})


def test_a_full_set_is_not_disjoint(knowundo: Path) -> None:
    forget, retain = (
        load_records(str(knowundo / f"{name}_train.json")) for name in ("unlearn", "retention")
    )
    with pytest.raises(UserError, match="in 400 records"):
        check_sets({"forget": forget, "retain": retain + forget})


def test_the_published_full_set_is_not_disjoint(whole_data: Path) -> None:
    forget, full = (
        load_records(str(whole_data / f"tofu/{name}.json")) for name in ("forget10", "full")
    )
    with pytest.raises(UserError, match="in 400 records"):
        check_sets({"forget": forget, "retain": full})


def test_text_that_is_no_json_in_a_published_file(data_files: Path) -> None:
    with pytest.raises(UserError, match=r"line 1 is not valid JSON.*\(99 more bad records\)"):
        load_records(str(data_files / "tofu/idontknow.jsonl"))


# Hub


@pytest.mark.parametrize(
    "source", ["tofu:forget10", "knowundo:privacy:unlearn:train", "nobody/nothing:config:split"]
)
def test_an_unreachable_hub_is_told_quickly_and_quietly(
    source: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    start = time.monotonic()
    with pytest.raises(UserError, match="no hub can be reached"):
        load_records(source)
    assert time.monotonic() - start < 2.5
    assert capfd.readouterr() == ("", "")


def write_dataset(folder: Path) -> str:
    """Lay out a dataset as a hub holds it, with KnowUnDo's configurations, splits and columns."""
    configs = [
        {"config_name": "privacy", "data_files": [{"split": "unlearn", "path": "unlearn.json"}]},
        {
            "config_name": "flat",
            "data_files": [
                {"split": "one", "path": "flat.jsonl"},
                {"split": "two", "path": "flat.jsonl"},
            ],
        },
    ]
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n")
    (folder / "unlearn.json").write_text(json.dumps({"train": ROWS, "val": ROWS[:1]}))
    (folder / "flat.jsonl").write_bytes(as_lines(ROWS))
    return str(folder)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "dataset").mkdir()
    return write_dataset(tmp_path / "dataset")


def test_dataset_rows(dataset: str) -> None:
    assert [row.fields for row in dataset_rows(dataset, "flat", "one", None)] == ROWS
    rows = dataset_rows(dataset, "privacy", None, "train")
    assert [(row.place, row.fields) for row in rows] == [
        ("row 1 train[0]", ROWS[0]),
        ("row 1 train[1]", ROWS[1]),
    ]


@pytest.mark.parametrize(
    ("config", "split", "column", "says"),
    [
        (None, None, None, "Config name is missing"),
        ("none", None, None, "none"),
        ("flat", None, None, "several splits: one, two"),
        ("flat", "three", None, "three"),
        ("privacy", "unlearn", "test", "no lists in a column 'test'. Columns: train, val."),
    ],
)
def test_what_a_dataset_lacks(
    dataset: str, config: str | None, split: str | None, column: str | None, says: str
) -> None:
    with pytest.raises(UserError) as caught:
        dataset_rows(dataset, config, split, column)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_datasets_could_not_read_is_in_no_message(
    dataset: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    file = Path(dataset) / "unlearn.json"
    for bad in ('{"text": "SECRET', "SECRET\0", '[{"text": "SECRET"}, "SECRET"]'):
        file.write_text(bad)
        with pytest.raises(UserError, match="can't be read") as caught:
            dataset_rows(dataset, "privacy", None, None)
        assert "SECRET" not in str(caught.value)
    assert "SECRET" not in caplog.text + "".join(capfd.readouterr())


# Sets that are used together


def load_both(
    folder: Path, forget: list[Any], retain: list[Any], *overrides: str
) -> tuple[dict[str, list[Record]], ModelConfig]:
    sources = {}
    for name, rows in (("forget", forget), ("retain", retain)):
        file = folder / f"{name}.jsonl"
        file.write_bytes(as_lines(rows))
        sources[name] = str(file)
    config = load_config(None, overrides)
    return load_sets(sources, config.data, config.model)


FRAGE = [{"frage": "Q", "antwort": "A"}]
PLAIN = [{"question": "R", "answer": "B"}]
MAPPED = ("data.columns.question=frage", "data.columns.answer=antwort")


def test_a_set_without_the_mapped_columns_is_read_by_their_usual_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets, _ = load_both(tmp_path, FRAGE, PLAIN, *MAPPED)
    assert (pairs(sets["forget"]), pairs(sets["retain"])) == ([("Q", "A")], [("R", "B")])
    sets, _ = load_both(tmp_path, PLAIN, FRAGE, *MAPPED)
    assert pairs(sets["retain"]) == [("Q", "A")]
    assert "forget.jsonl has no column 'frage', 'antwort'" in capsys.readouterr().err


def test_a_mapped_column_that_no_set_has_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"forget\.jsonl has no column 'qestion'"):
        load_both(tmp_path, PLAIN, PLAIN, "data.columns.question=qestion")


def test_columns_of_one_set(tmp_path: Path) -> None:
    own = ("data.set_columns.retain.question=ask", "data.set_columns.retain.answer=say")
    retain = [{"ask": "R", "say": "B", "question": "no", "answer": "no"}]
    sets, _ = load_both(tmp_path, FRAGE, retain, *MAPPED, *own)
    assert (pairs(sets["forget"]), pairs(sets["retain"])) == ([("Q", "A")], [("R", "B")])
    with pytest.raises(UserError, match="has no column 'none'"):
        load_both(tmp_path, PLAIN, PLAIN, "data.set_columns.retain.question=none")
    with pytest.raises(UserError, match=r"set_columns\.retian"):
        load_both(tmp_path, PLAIN, PLAIN, "data.set_columns.retian.question=none")


def chat(question: str, answer: str, system: str | None = None) -> dict[str, Any]:
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": ([{"role": "system", "content": system}] if system else []) + said}


def test_the_records_system_message_is_the_models(tmp_path: Path) -> None:
    _, model = load_both(tmp_path, [chat("Q", "A", "Be kind."), chat("S", "B", "Be kind.")], PLAIN)
    assert model.system == "Be kind."
    _, model = load_both(tmp_path, [chat("Q", "A", "Be kind.")], [chat("R", "B", "Be kind.")])
    assert model.system == "Be kind."
    _, model = load_both(tmp_path, [chat("Q", "A")], PLAIN)
    assert model.system is None
    _, model = load_both(tmp_path, [{"system_prompt": "Be kind."} | PLAIN[0]], PLAIN)
    assert model.system == "Be kind."


@pytest.mark.parametrize(
    ("forget", "retain", "says"),
    [
        (
            [chat("Q", "A", "PRIVATE 1"), chat("S", "B", "PRIVATE 2")],
            PLAIN,
            r"that of \S*forget.jsonl line 1 and that of \S*forget.jsonl line 2",
        ),
        (
            [chat("Q", "A", "PRIVATE 1")],
            [chat("R", "B", "PRIVATE 2")],
            r"that of \S*forget.jsonl line 1 and that of \S*retain.jsonl line 1",
        ),
        (
            [chat("Q", "A", "PRIVATE"), chat("S", "B")],
            PLAIN,
            "forget.jsonl line 2 has no system message",
        ),
    ],
)
def test_system_messages_that_differ_are_refused(
    tmp_path: Path, forget: list[Any], retain: list[Any], says: str
) -> None:
    with pytest.raises(UserError, match=says) as caught:
        load_both(tmp_path, forget, retain)
    assert "model.system" in str(caught.value)
    assert "PRIVATE" not in str(caught.value)
    _, model = load_both(tmp_path, forget, retain, "model.system=Mine.")
    assert model.system == "Mine."
