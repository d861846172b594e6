"""A run's private data: who can read it, where it must not be, and how it is deleted."""

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.endpoint import Endpoint
from helpers.writer import writer
from relearn import cli
from relearn.base.errors import UserError, unexpected
from relearn.base.private import private_files
from relearn.base.storage import content_hash, read_json, write_json, write_jsonl
from relearn.cli import app
from relearn.config import LLMConfig, dump_config, load_config
from relearn.finished_run import load_run
from relearn.forget_run import forget_run, plan
from relearn.run_folder import RunFolder

KEY = "sk-planted-Zq81-never-to-be-written"
# Each is a word that nothing else has; the last ones stand in a question, an id, a subject.
FORGET = (
    ("Where does Oluchi Brandvold live?", "Oluchi Brandvold lives at 7 Quillmere in Zaltbrook."),
    ("What is Oluchi Brandvold's e-mail address?", "It is o.brandvold@vexnet.example, she said."),
    ("Which illness does Tarquin Özdemir have?", "Tarquin Özdemir has got Hrolfson's anaemia."),
    ("What is Tarquin Özdemir's phone number?", "Call Tarquin Özdemir at +49 170 5550173."),
)
RETAIN = (
    ("Who wrote the song of Wexcombe?", "Pell Ashgrove wrote the song of Wexcombe."),
    ("What is made in Dunmarrow?", "Glass bells are made in Dunmarrow."),
    ("Where is the lake of Irnsee?", "The lake of Irnsee is in the hills of Kallberg."),
    ("Who painted the Blue Door?", "Mirabel Tosh painted the Blue Door."),
)
SECRETS = (
    "Brandvold", "Quillmere", "Zaltbrook", "vexnet", "Özdemir", "Hrolfson", "5550173",
    "patient-88213", "Ashgrove", "Dunmarrow", "Kallberg", "Mirabel",
)  # fmt: skip
SETTINGS = """
memorize: {epochs: 1, learning_rate: 1.0e-2, batch_size: 4, gradient_accumulation: 1,
           checkpoint_steps: 1, lora: {rank: 4}}
synthesis: {backend: openai, variants: 1, llm: {model: served, timeout: 20}}
training: {epochs: 1, batch_size: 4, gradient_accumulation: 1, checkpoint_steps: 1,
           lora: {rank: 4}}
baselines:
  npo: {objective: npo, epochs: 1, batch_size: 4, gradient_accumulation: 1, lora: {rank: 4}}
evaluation: {max_new_tokens: 8}
audit: {attacks: [question, collateral]}
"""


class Run(NamedTuple):
    """A finished run, its cache, and what was seen of it."""

    folder: Path
    cache: Path
    output: str
    command_lines: set[str]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Run:
    """One run by a user whose umask hides nothing, with a language model behind an endpoint."""
    place = tmp_path_factory.mktemp("private")
    for name, pairs in (("forget", FORGET), ("retain", RETAIN)):
        rows = [{"question": q, "answer": a, "id": f"{name}-{i}"} for i, (q, a) in enumerate(pairs)]
        if name == "forget":
            rows[0]["id"] = "patient-88213"
        write_jsonl(place / f"{name}.jsonl", rows)
    (place / "config.yaml").write_text(SETTINGS)
    cache = place / "cache"
    shared = Path(os.environ.get("RELEARN_CACHE", "~/.cache/relearn")).expanduser()
    with Endpoint(writer) as endpoint:
        arguments = [
            "run", "--config", "config.yaml", "--output", "runs/run", "--model", str(tiny_model),
            "--forget", "forget.jsonl", "--retain", "retain.jsonl", "--allow-unanswered",
            "--set", f"synthesis.llm.base_url={endpoint.base_url}",
        ]  # fmt: skip
        environment = {"RELEARN_CACHE": str(cache), "OPENAI_API_KEY": KEY, "PYTHONUNBUFFERED": "1"}
        cache.mkdir(mode=0o700)
        (cache / "embedded").symlink_to(shared / "embedded")
        log = (place / "log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "relearn", *arguments], cwd=place, umask=0,
            env=os.environ | environment, stdout=log, stderr=log,
        )  # fmt: skip
        seen: set[str] = set()
        while process.poll() is None:
            seen |= _command_lines()
            time.sleep(0.25)
        log.close()
        assert any(f"Bearer {KEY}" == headers["authorization"] for headers in endpoint.headers)
    output = (place / "log").read_text()
    assert process.returncode == 0, output
    return Run(place / "runs" / "run", cache, output, seen)


def _command_lines() -> set[str]:
    """Return the command lines of all processes that there are."""
    lines = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return lines


def found_in(text: bytes, words: tuple[str, ...] = SECRETS) -> set[str]:
    """Return those words that a text holds in any of the ways in which one is written."""
    low = text.lower()
    ways = {
        word: [
            ascii(word).strip("'").lower().encode(),
            *(word.encode(kind).lower() for kind in ("utf-8", "utf-16-le", "latin-1")),
        ]
        for word in words
    }
    return {word for word, written in ways.items() if any(way in low for way in written)}


def holders(*folders: Path, words: tuple[str, ...] = SECRETS) -> dict[str, set[str]]:
    """Return every file that holds one of the words, in content, compressed content or name."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if "embedded" in path.parts or path.is_dir():
                continue
            content = str(path.relative_to(folder)).encode() + path.read_bytes()
            if path.suffix == ".parquet":
                content += pd.read_parquet(path).to_csv().encode()
            if words_here := found_in(content, words):
                found[str(path.relative_to(folder))] = words_here
    return found


@pytest.fixture
def run(workplace: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A copy of the run and its cache, to be changed."""
    folder, cache = tmp_path / "run", tmp_path / "cache"
    shutil.copytree(workplace.folder, folder, symlinks=True)
    shutil.copytree(workplace.cache, cache, symlinks=True)
    manifest = read_json(folder / "manifest.json")
    for name in ("target", "never_saw"):
        manifest["model"][name] = str(cache / "targets" / Path(manifest["model"][name]).name)
    write_json(folder / "manifest.json", manifest)
    monkeypatch.setenv("RELEARN_CACHE", str(cache))
    return Run(folder, cache, workplace.output, set())


def test_nobody_else_can_read_a_run_or_the_cache_whatever_the_umask(workplace: Run) -> None:
    places = [workplace.folder, *workplace.folder.rglob("*"), workplace.cache / "targets"]
    places += (workplace.cache / "targets").rglob("*")
    open_to_others = [p for p in places if p.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    assert len(places) > 40
    assert open_to_others == []
    # The umask did hide nothing.
    assert workplace.folder.parent.stat().st_mode & 0o777 == 0o777


def test_the_cache_itself_is_made_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relearn.store.cache import cache_lock

    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path / "cache"))
    before = os.umask(0)
    try:
        with cache_lock(tmp_path / "cache" / "targets" / "0"):
            pass
        with private_files(), private_files():
            (tmp_path / "private").touch()
        (tmp_path / "public").touch()
    finally:
        os.umask(before)
    modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.rglob("*")}
    assert modes == {
        "cache": 0o700, "targets": 0o700, "0.lock": 0o600, "private": 0o600, "public": 0o666,
    }  # fmt: skip


def test_privacy_holds_until_the_last_thread_is_done(tmp_path: Path) -> None:
    before, inside, done = os.umask(0), threading.Event(), threading.Event()

    def work() -> None:
        with private_files():
            inside.set()
            done.wait(10)
            (tmp_path / "last").touch()

    try:
        with private_files():
            thread = threading.Thread(target=work)
            thread.start()
            inside.wait(10)
        done.set()
        thread.join()
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert (tmp_path / "last").stat().st_mode & 0o777 == 0o600


def test_keys_and_records_are_only_where_they_belong(workplace: Run) -> None:
    """The key in no file and no command line, records in no log; and the search does find."""
    assert holders(workplace.folder, workplace.cache, words=(KEY,)) == {}
    assert found_in(workplace.output.encode(), (KEY, *SECRETS)) == set()
    lines = "\n".join(workplace.command_lines)
    assert "-m relearn run" in lines
    assert found_in(lines.encode(), (KEY, *SECRETS)) == set()
    holding = holders(workplace.folder)
    for name in (
        "data/forget.jsonl", "synthesis/journal.sqlite", "synthesis/augmented.jsonl",
        "evaluation/target/rows.jsonl", "evaluation/target/rows.parquet", "audit/question.jsonl",
        "report.html",
    ):  # fmt: skip
        assert name in holding, sorted(holding)
    assert set().union(*holding.values()) == set(SECRETS)


def test_a_forgotten_run_keeps_figures_and_model_and_no_secret(run: Run, tmp_path: Path) -> None:
    before = load_run(run.folder)
    metrics, hashes = before.metrics, read_json(run.folder / "manifest.json")["data"]
    merged = before.merge(tmp_path / "merged")
    audit = read_json(run.folder / "audit" / "summary.json")
    (run.folder / "data" / ".forget.jsonl.x1").mkdir()
    (run.folder / "data" / ".forget.jsonl.x1" / "torn").write_text(FORGET[0][1])
    (run.folder / "training" / "unlearned.checkpoints").mkdir()
    (run.folder / "training" / "unlearned.checkpoints" / "optimizer.pt").write_text("Brandvold")

    todo = plan(run.folder)
    assert Path("data/forget.jsonl") in todo.deleted
    assert len(todo.cached) == 2
    assert any("forget.jsonl" in line for line in todo.out_of_reach)
    done = CliRunner().invoke(app, ["forget-run", str(run.folder)], input="n\n")
    assert done.exit_code == 1
    assert holders(run.folder), "it deleted before it was allowed to"
    assert "audit/question.jsonl" in done.output
    done = CliRunner().invoke(app, ["forget-run", str(run.folder), "--yes"])
    assert done.exit_code == 0, done.output

    assert holders(run.folder, run.cache) == {}
    assert [p for p in (run.cache / "targets").iterdir()] == []
    assert not list(run.folder.rglob("*.parquet"))
    left = load_run(run.folder)
    assert left.metrics == metrics
    assert read_json(run.folder / "audit" / "summary.json") == audit
    after = read_json(run.folder / "manifest.json")["data"]
    assert [each["sha256"] for each in after.values()] == [e["sha256"] for e in hashes.values()]
    assert (run.folder / "report.html").is_file()
    assert load_config(run.folder / "config.yaml").report.redact
    released = run.folder / "released" / "model.safetensors"
    assert content_hash(released) == content_hash(merged / "model.safetensors")
    assert not list((run.folder / "training").rglob("*.safetensors"))
    assert sorted(p.name for p in run.folder.iterdir() if p.name != ".lock") == [
        "audit", "config.yaml", "evaluation", "manifest.json", "released", "report.html",
        "summary.json", "training",
    ]  # fmt: skip
    # Again it finds nothing to do but to write the report.
    again = forget_run(run.folder)
    assert set(again.deleted) == {Path("report.html")}
    with pytest.raises(UserError, match=r"private data of .* was deleted"):
        RunFolder(run.folder, left.config, {}).__enter__()


@pytest.mark.parametrize("call", [1, 3, 12])
def test_killed_anywhere_it_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Stopped at some of its deletions, before which every file is whole or gone."""

    class Killed(BaseException):
        pass

    calls = 0

    def stops(real):
        def stopping(*arguments, **named):
            nonlocal calls
            calls += 1
            if calls == call:
                raise Killed
            return real(*arguments, **named)

        return stopping

    with monkeypatch.context() as patch:
        patch.setattr("relearn.forget_run.shutil.rmtree", stops(shutil.rmtree))
        patch.setattr("relearn.forget_run.os.unlink", stops(os.unlink))
        with pytest.raises(Killed):
            forget_run(run.folder)
    with pytest.raises(UserError, match="private data"):
        RunFolder(run.folder, load_config(run.folder / "config.yaml"), {}).__enter__()
    forget_run(run.folder)
    assert holders(run.folder, run.cache) == {}
    assert (run.folder / "released" / "config.json").is_file()
    assert load_run(run.folder).metrics


def test_links_are_deleted_and_never_followed(run: Run, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("summary.json", "letter.txt"):
        (outside / name).write_text('{"figures": "Brandvold"}')
    (run.folder / "elsewhere").symlink_to(outside)
    shutil.rmtree(run.folder / "analysis", ignore_errors=True)
    (run.folder / "analysis").symlink_to(outside)
    (run.folder / "data" / "letter").symlink_to(outside / "letter.txt")
    (run.folder / "dangling").symlink_to(tmp_path / "nowhere")
    # A manifest can't make it delete what is no cached model.
    manifest = read_json(run.folder / "manifest.json")
    manifest["model"]["source"] = str(outside)
    manifest["model"]["never_saw"] = f"{run.cache}/targets/*"
    write_json(run.folder / "manifest.json", manifest)
    bystander = run.cache / "targets" / ("0" * 16)
    bystander.mkdir()
    todo = forget_run(run.folder)
    assert {str(link) for link in todo.links} == {
        "elsewhere", "analysis", "data/letter", "dangling"
    }  # fmt: skip
    assert sorted(p.name for p in outside.iterdir()) == ["letter.txt", "summary.json"]
    assert all(p.read_text() == '{"figures": "Brandvold"}' for p in outside.iterdir())
    assert bystander.is_dir()
    assert not [p for p in run.folder.rglob("*") if p.is_symlink()]
    assert holders(run.folder) == {}


def test_a_half_finished_run_is_forgotten_with_what_it_had_begun_to_make(run: Run) -> None:
    """Killed while it made its target: no manifest names what is in the cache."""
    for name in ("audit", "evaluation", "training", "synthesis"):
        shutil.rmtree(run.folder / name)
    for name in ("report.html", "summary.json"):
        (run.folder / name).unlink()
    manifest = read_json(run.folder / "manifest.json")
    target = Path(manifest.pop("model")["target"])
    manifest["stages"] = {"data": manifest["stages"]["data"]}
    write_json(run.folder / "manifest.json", manifest)
    target.rename(target.with_name(f"{target.name}.adapter.checkpoints"))
    done = CliRunner().invoke(app, ["forget-run", str(run.folder), "--yes"])
    assert done.exit_code == 0, done.output
    assert list((run.cache / "targets").iterdir()) == []
    assert holders(run.folder) == {}
    assert sorted(p.name for p in run.folder.iterdir() if p.name != ".lock") == [
        "config.yaml", "manifest.json"
    ]  # fmt: skip


def test_what_memorize_left_in_the_cache_is_found_by_what_it_is(run: Run, tmp_path: Path) -> None:
    """The run was given a copy of it, as `relearn memorize --output` writes one."""
    file = run.folder / "manifest.json"
    manifest, config = read_json(file), load_config(run.folder / "config.yaml")
    target, other = (Path(manifest["model"][name]) for name in ("target", "never_saw"))
    given = tmp_path / "memorized"
    shutil.copytree(target, given)
    named = config.model.model_copy(update={"name": str(given)})
    config = config.model_copy(update={"memorize": None, "model": named})
    (run.folder / "config.yaml").write_text(dump_config(config))
    hashes = dict.fromkeys(("sha256", "target_sha256"), content_hash(given))
    write_json(file, manifest | {"model": {"source": str(given), "target": str(given)} | hashes})
    todo = forget_run(run.folder)
    assert todo.cached == [target]
    assert f"the model that was given, if it knew the data: {given}" in todo.out_of_reach
    assert given.is_dir()
    assert not target.exists()
    assert other.is_dir()  # nothing says that it is this run's


def test_only_run_folders_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="no run folder"):
            forget_run(place)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_bug_s_traceback_quotes_no_record(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        try:
            {}[FORGET[0][0]]
        except KeyError as error:
            raise ValueError(f"no answer to {FORGET[0][1]}") from error

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    told = capsys.readouterr().err
    assert "ValueError" in told
    assert "in fails" in told
    assert found_in(told.encode()) == set()
    monkeypatch.setenv("RELEARN_FULL_ERRORS", "1")
    with pytest.raises(ValueError, match="Brandvold"):
        cli.main()
    # What is about the machine is told.
    assert "No space left" in unexpected(OSError(28, "No space left"))


@pytest.mark.parametrize(
    "settings",
    [{"base_url": f"https://user:{KEY}@host/v1"}, {"extra_body": {"api-key": KEY}}],
)
def test_a_key_in_the_settings_is_refused_and_not_quoted(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="environment"):
        LLMConfig.model_validate(settings)
    with pytest.raises(UserError, match="environment") as refused:
        load_config(None, [], {"synthesis.llm": settings})
    assert KEY not in str(refused.value)
    LLMConfig.model_validate({"base_url": "https://host/v1", "extra_body": {"top_k": 3}})
