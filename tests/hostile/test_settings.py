"""Every setting with values that it can't have, misspelled names, files that are none."""

import datetime
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt

from relearn.base.errors import UserError
from relearn.cli import main
from relearn.config import RunConfig, load_config
from relearn.config.describe import describe_settings
from relearn.config.section import Section

NAN, INFINITE, HUGE = float("nan"), float("inf"), 10**30
BAD_TEXT = ["PRIVATE\0", "\ud800", "\x1b[31m"]


def settings(
    section: type[Section] = RunConfig, prefix: str = ""
) -> Iterator[tuple[str, Any, list[Any]]]:
    """Yield name, type and bounds of every setting of a section and of those in it."""
    for name, field in section.model_fields.items():
        if isinstance(field.default, Section):
            yield from settings(type(field.default), f"{prefix}{name}.")
        else:
            yield prefix + name, field.annotation, list(field.metadata)


EVERY = list(settings())
NAMES = [name for name, _, _ in EVERY]


def wrong_values(kind: Any, bounds: list[Any]) -> list[Any]:
    """Return values that a setting of this type and range can't have."""
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        bounds = [*bounds, *(b for each in more for b in getattr(each, "metadata", [each]))]
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [k for k in get_args(kind) if k is not type(None)]
        several = [wrong_values(k, bounds) for k in kinds]
        return [v for v in several[0] if all(repr(v) in map(repr, other) for other in several)]
    return [None, *_wrong(kind, bounds)] if kind is not Any else []


def _wrong(kind: Any, bounds: list[Any]) -> list[Any]:
    if kind is bool:
        return ["x", 2, -1, 1.5, [], {}]
    if kind in (int, float):
        outside = [b.ge - 1 for b in bounds if isinstance(b, Ge)]
        outside += [b.gt for b in bounds if isinstance(b, Gt)]
        outside += [b.le + 1 for b in bounds if isinstance(b, Le)]
        outside += [b.lt for b in bounds if isinstance(b, Lt)]
        assert len(outside) >= 2, "a number without a range"
        return ["x", "", [], {}, True, False, NAN, INFINITE, -INFINITE, HUGE, -HUGE, *outside]
    if kind is str:
        return [3, 1.5, True, [], {}, *BAD_TEXT]
    if get_origin(kind) is Literal:
        return ["nope", "", 3, True, [], {}, get_args(kind)[0].upper() + " "]
    if kind is datetime.date:
        return ["x", 0, 12, 1e30, True, [], {}, "2024-13-01", "1719878400"]
    if get_origin(kind) is list:
        return ["x", 3, True, {"a": 1}, [[1]], [None], ["\0"], ["\ud800"]]
    if get_origin(kind) is dict:
        return ["x", 3, True, [], ["x"], {"a": "\0"}, {"a": NAN}, {"\ud800": 1}]
    assert issubclass(kind, Section), kind
    return ["x", 3, True, [], ["x"], {"nope": 1}]


def refused(**arguments: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        load_config(**arguments)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 2500
    assert caught.value.hint
    assert "PRIVATE" not in message
    return caught.value


@pytest.mark.parametrize(("name", "kind", "bounds"), EVERY, ids=NAMES)
def test_a_value_that_a_setting_can_not_have(name: str, kind: Any, bounds: list[Any]) -> None:
    may_be_none = type(None) in get_args(kind)
    tried = [v for v in wrong_values(kind, bounds) if not (v is None and may_be_none)]
    assert len(tried) > 2
    for value in tried:
        error = refused(named={name: value})
        assert f"'{name}" in error.problem, (value, error.problem)


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelled_setting_is_suggested(name: str) -> None:
    section, _, last = name.rpartition(".")
    for wrong in {last + "s", last.replace("_", "")} - {last}:
        misspelled = f"{section}.{wrong}" if section else wrong
        if misspelled in NAMES or any(known.startswith(f"{misspelled}.") for known in NAMES):
            continue
        error = refused(named={misspelled: 1})
        assert misspelled in error.problem
        assert f"Did you mean {name}?" in error.hint or len(last) < 4, (misspelled, error.hint)


def test_every_setting_is_tried() -> None:
    assert len(NAMES) > 90
    assert {name for name, _ in describe_settings().items()} <= set(NAMES)
    assert sum(len(wrong_values(kind, bounds)) for _, kind, bounds in EVERY) > 700


def test_the_walk_can_fail() -> None:
    load_config(named={"training.epochs": 3})
    load_config(named={"training.epochs": 3.5, "seed": 2**32 - 1, "training.packing": False})
    with pytest.raises(AssertionError, match="without a range"):
        wrong_values(int, [])


def bomb(levels: int = 9) -> str:
    """Return a small file that aliases make ten to that power times as large."""
    lines = ["a0: &a0 [PRIVATE]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


FILES = {
    "bomb": bomb(), "it contains itself": "training: &a\n  lora: *a\n", "list": "a: &a [*a]\n",
    "deep": "[" * 1500, "deep mapping": "{a: " * 3000,
    "wide": "".join(f"k{i}: 1\n" for i in range(5001)),
    "large": f"model:\n  name: {'x' * 2**20}\n", "twice": "seed: 1\nseed: 2\n", "a list": "- 1\n",
    "text of a number": "'8'\n", "text of settings": "'seed: 3'\n",
    "text": "hello\n", "number": "3\n", "NUL": "seed: 1\0\n", "escape": "model: {name: \"\\e[2J\"}",
    "object": "seed: !!python/object/apply:os.system ['true']\n", "tag": "seed: !foo 1\n",
    "binary tag": "seed: !!binary aGVsbG8=\n", "interpolation": "seed: ${nope}\n",
    "own interpolation": "model:\n  name: ${model.name}\n", "missing": "model:\n  name: ???\n",
    "number as a key": "1: 2\n", "nothing as a key": "~: 2\n", "list as a key": "? [a]\n: 2\n",
    "two documents": "seed: 1\n---\nseed: 2\n", "tabs": "training:\n\tepochs: 3\n",
    "open quote": "model: {name: 'PRIVATE\n", "open brace": "model: {name: '${'}\n",
    "misspelled": "trainig:\n  epochs: 3\n", "dotted": "training.epochs: 3\n",
    "unknown set": "data:\n  set_columns:\n    foo: {}\n", "section is text": "training: abc\n",
    "section is a list": "training: [1]\n", "section is nothing": "training:\n",
    "traversal": "baselines:\n  ../../x: {}\n", "absolute": "baselines:\n  /etc: {}\n",
    "no name": "baselines:\n  '': {}\n", "dots": "baselines:\n  '..': {}\n",
    "taken name": "baselines:\n  unlearned: {}\n", "right to left": "baselines:\n  \u202eabc: {}\n",
    "baseline is a number": "baselines:\n  a: 3\n",
    "option is a number": "training: {lora: {options: 3}}",
    "merge": "x: &x {epochs: 2}\ntraining:\n  <<: *x\n", "octal": "seed: 0o17\n",
    "hex": "seed: 0xZZ\n",
    "template": "model: {prompt: {template: '{question!r} {answer}'}}\n",
}  # fmt: skip
BYTES = {
    "latin-1": "model: {name: é}".encode("latin-1"), "utf-16": "seed: 3".encode("utf-16"),
    "zeros": b"\0" * 100, "half": b"seed: \xf0\x9f", "gzip": b"\x1f\x8b\x08\0",
}  # fmt: skip


@pytest.mark.parametrize("name", [*FILES, *BYTES])
def test_a_file_that_is_no_configuration(tmp_path: Path, name: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(BYTES.get(name) or FILES[name].encode())
    refused(path=file)


def test_what_only_looks_odd_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for text in (
        "",
        "~\n",
        "{}",
        "# nothing\n",
        "\ufeffseed: 0\n",
        "seed: 0\r\n",
        "---\nseed: 0\n",
    ):
        file.write_text(text, encoding="utf-8")
        assert load_config(file) == RunConfig()
    file.write_text("training: &t {epochs: 3}\nbaselines: {a: *t, b: {<<: *t, batch_size: 2}}\n")
    assert [each.epochs for each in load_config(file).trainings.values()] == [3, 3, 3]


@pytest.mark.parametrize(
    "override",
    ["", "=", "a", "a=", "=1", "training.epochs=", "training..epochs=3", "training.epochs=[", ".=1",
     "training.epochs=${x}", "training.epochs={a:", "seed.x=1", "training.lora=3", "a.b.c.d=1",
     "training.epochs=3=4", "baselines.a/b.epochs=1", "data.only[0]=x", "model.name='", "@=1",
     "seed=\0", f"{'x' * 5000}=1", "seed=3\nfoo", "training=null", "training.\x1b[2J=1",
     "seed=٣.٥", "[", "[a=1", "[a={}", "a[=1", "a]=1", "a[]=1", "a[[b]]=1"],
)  # fmt: skip
def test_an_override_that_is_none(override: str) -> None:
    refused(overrides=[override])


def test_an_empty_mapping_takes_the_place_of_what_is_there() -> None:
    assert load_config(Path("demo")).baselines
    assert not load_config(Path("demo"), ["baselines={}"]).baselines
    given = ["baselines.npo.objective=npo", "baselines={}"]  # whatever comes first
    assert list(load_config(Path("demo"), given).baselines) == ["npo"]


def test_the_command_ends_with_one_line_and_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(FILES["bomb"])
    monkeypatch.chdir(tmp_path)
    for options in (
        ["--config", "config.yaml"], ["--config", "no.yaml"], ["--set", "training.epochs=.inf"],
        ["--set", "trainig.epochs=3"], ["--config", "."], ["--set", "baselines.[../x].epochs=1"],
    ):  # fmt: skip
        monkeypatch.setattr("sys.argv", ["relearn", "run", "--output", "run", *options])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == 2
        assert len(printed.err.splitlines()) == 1
        assert "PRIVATE" not in printed.err
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
