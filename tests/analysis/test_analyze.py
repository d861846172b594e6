"""The whole analysis on tiny models: files, resuming, bad input, the command, the report."""

import json
import re
import shutil
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from helpers.analyses import SMALL, write_sets
from relearn.analysis import analyze
from relearn.analysis.command import run_analysis
from relearn.analysis.findings import claims, curve_shift, findings
from relearn.analysis.inputs import ModelSource, from_options
from relearn.base import progress
from relearn.base.errors import UserError
from relearn.base.storage import read_json
from relearn.cli import app

TABLES = (
    "answers attention attribution candidates components edges lens patching saliency states "
    "steps tokens weights"
).split()


@pytest.fixture(scope="module")
def models(tiny_model, tmp_path_factory):
    """A base, a target and an unlearned model, the last as an adapter, and the two sets."""
    folder = tmp_path_factory.mktemp("analysis")
    write_sets(folder)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * 0.05
    shutil.copytree(tiny_model, folder / "target")
    model.save_pretrained(folder / "target")
    adapted = get_peft_model(
        model, PeftLoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder / "unlearned")
    adapted.merge_and_unload().save_pretrained(folder / "ga")
    shutil.copytree(tiny_model, folder / "base")
    return folder


def named(folder, *names):
    return [f"{name}={folder / name}" for name in names]


@pytest.fixture(scope="module")
def analysed(models):
    """The folder of a finished analysis of four models, and its summary."""
    subject = from_options(
        named(models, "base", "target", "unlearned", "ga"),
        str(models / "forget.jsonl"),
        str(models / "retain.jsonl"),
    )
    output = models / "out"
    return output, run_analysis(subject, output, SMALL)


def test_every_table_figure_and_sentence_is_there(analysed):
    output, summary = analysed
    for name in TABLES:
        frame = pd.read_parquet(output / f"{name}.parquet")
        missing = {"attribution": {"target"}, "patching": {"target"}, "weights": {"base"}}
        expected = {"target", "base", "unlearned", "ga"} - missing.get(name, set())
        assert set(frame["model"]) == expected, name
    charts = read_json(output / "charts.json")
    for chart in charts:
        for suffix in ("svg", "png"):
            assert (output / "figures" / f"{chart['id']}.{suffix}").stat().st_size > 1000
    assert {chart["part"] for chart in charts} == {"distribution", "memory", "circuits", "language"}
    assert summary == read_json(output / "summary.json")
    assert [claim["name"] for claim in summary["claims"]] == ["see-saw", "memory", "circuits"]
    assert "# What the analysis found" in (output / "findings.md").read_text()
    assert not list(output.rglob("*.npy"))  # what is large is gone


def test_figures_of_the_target_are_those_of_no_change(analysed):
    target = analysed[1]["figures"]["target"]
    assert target["distribution"]["forget"]["kl_from_target"] < 1e-3
    assert target["distribution"]["forget"]["seesaw"] is None
    assert target["states"]["retain"]["cka"] == pytest.approx(1, abs=1e-3)
    assert target["circuit"]["overlap"] == pytest.approx(1, abs=1e-3)
    assert target["circuit"]["jaccard"] in (1, None)
    assert target["patching"] is None


def test_an_adapter_and_its_merged_model_give_the_same_figures(analysed):
    figures = analysed[1]["figures"]
    one, two = figures["unlearned"], figures["ga"]
    for path in (("distribution", "forget", "kl_from_target"), ("states", "forget", "cka"),
                 ("lens", "forget", "decodable_share"), ("weights", "norm"),
                 ("weights", "effective_rank"), ("circuit", "overlap"),
                 ("patching", "best_recovery")):  # fmt: skip
        a, b = one, two
        for step in path:
            a, b = a[step], b[step]
        assert a == pytest.approx(b, rel=2e-2, abs=1e-4), path


def test_without_what_draws_charts_the_rest_is_written(
    models, analysed, tmp_path, monkeypatch, capsys
):
    """From the parts of the finished analysis, so that nothing is computed."""
    output, summary = analysed
    again = tmp_path / "again"
    shutil.copytree(output, again, ignore=shutil.ignore_patterns("figures", "charts.json"))
    subject = from_options(
        named(models, "base", "target", "unlearned", "ga"),
        str(models / "forget.jsonl"),
        str(models / "retain.jsonl"),
    )
    monkeypatch.setattr(progress, "_told", set())
    monkeypatch.setitem(sys.modules, "altair", None)
    assert run_analysis(subject, again, SMALL) == summary
    assert "pip install 'relearn-llm[report]'" in capsys.readouterr().err
    assert not (again / "figures").exists()
    assert (again / "charts.json").read_bytes() == (output / "charts.json").read_bytes()


def test_keys_are_words_that_the_question_does_not_hold(analysed):
    output, _ = analysed
    tokens = pd.read_parquet(output / "tokens.parquet")
    keys = tokens[tokens["key"] & (tokens["model"] == "target") & (tokens["set"] == "forget")]
    assert len(keys) == 3 * SMALL.keys
    # Where does Li Wei live? - Li Wei lives in Beijing now.: lives, in, Beijing, now are new.
    assert keys["place"].min() >= 2


def test_an_analysis_that_was_killed_goes_on_and_ends_alike(models, analysed, monkeypatch):
    _, summary = analysed
    again = models / "killed"
    subject = from_options(
        named(models, "base", "target", "unlearned", "ga"),
        str(models / "forget.jsonl"),
        str(models / "retain.jsonl"),
    )
    calls = []
    language = analyze.free_answers

    def dies(*args, **kwargs):
        calls.append(kwargs["title"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return language(*args, **kwargs)

    monkeypatch.setattr(analyze, "free_answers", dies)
    with pytest.raises(KeyboardInterrupt):
        run_analysis(subject, again, SMALL)
    assert not (again / "summary.json").exists()
    assert run_analysis(subject, again, SMALL) == summary
    # The target's answers, finished before, are not made anew.
    assert calls == [f"answers of {n}" for n in ("target", "base", "base", "unlearned", "ga")]


def test_a_finished_analysis_loads_no_model(models, analysed, monkeypatch):
    output, summary = analysed
    monkeypatch.setattr(ModelSource, "load", None)
    subject = from_options(
        named(models, "base", "target", "unlearned", "ga"),
        str(models / "forget.jsonl"),
        str(models / "retain.jsonl"),
    )
    assert run_analysis(subject, output, SMALL) == summary
    with pytest.raises(TypeError):  # other settings are another analysis
        run_analysis(subject, output, replace(SMALL, prompts=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["one=base"], "two or more models"),
        (["one=base", "one=target"], "different names"),
        (["base", "target"], "not NAME=PATH"),
        (["a b=base", "c=target"], "not NAME=PATH"),
    ],
)
def test_models_that_are_named_wrongly(models, options, message):
    options = [re.sub("=(.*)", lambda found: f"={models / found[1]}", each) for each in options]
    with pytest.raises(UserError, match=message):
        from_options(options, str(models / "forget.jsonl"), None)


def test_a_folder_of_something_else_is_left_alone(models, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    subject = from_options(named(models, "base", "target"), str(models / "forget.jsonl"), None)
    with pytest.raises(UserError, match="already used"):
        run_analysis(subject, tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_command_takes_two_models_that_are_neither_base_nor_target(models, tmp_path):
    done = CliRunner().invoke(
        app,
        ["analyze", "--models", f"old={models / 'target'}", f"new={models / 'ga'}",
         "--data", str(models / "forget.jsonl"), "--output", str(tmp_path / "out"),
         "--prompts", "2"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    summary = read_json(tmp_path / "out" / "summary.json")
    assert summary["target"] == "old"
    assert set(summary["figures"]) == {"old", "new"}
    assert {claim["verdict"] for claim in summary["claims"]} == {"not measured"}
    assert "see-saw: not measured" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to analyze"),
        (["no-such-run"], "not a finished run"),
        (["--models", "a=b", "--models", "c=d"], "needs --data"),
    ],
)
def test_bad_commands_are_one_line(arguments, message, monkeypatch, capsys):
    from relearn import cli

    monkeypatch.setattr(sys, "argv", ["relearn", "analyze", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def source(name, reverse=None):
    return ModelSource(name, None, None, reverse)


def figures_of(astray, path, attention):
    return {
        "distribution": {"forget": {"seesaw": astray, "private_probability": 0.4}},
        "lens": {
            "forget": {
                "kl_to_output_by_layer": path,
                "decodable_share": 0.5,
                "decodable_depth_median": None,
            }
        },
        "attention": {"forget": attention},
        "language": {"forget": {"collapsed": 0.25}},
    }


def test_claims_follow_from_the_figures_by_their_rules():
    models = [source("target"), source("new", False), source("ga", True), source("npo", True)]
    figures = {
        "target": figures_of(None, [9.0, 4.0, 2.0, 0.0], 0.10),
        "new": figures_of(0.2, [9.0, 4.0, 3.0, 0.0], 0.05),
        "ga": figures_of(0.9, [9.0, 4.0, 5.0, 0.0], 0.10),
        "npo": figures_of(0.25, [9.0, 4.0, 3.0, 0.0], 0.12),
    }
    judged = {claim.name: claim.verdict for claim in claims(figures, models)}
    assert judged == {"see-saw": "partly seen", "memory": "partly seen", "circuits": "seen"}
    figures["npo"] = figures_of(0.6, [9.0, 0.0, 9.0, 0.0], 0.01)
    judged = {claim.name: claim.verdict for claim in claims(figures, models)}
    assert judged == {"see-saw": "seen", "memory": "seen", "circuits": "partly seen"}
    figures["new"] = figures_of(0.6, [9.0, 9.0, 9.0, 9.0], 0.10)
    judged = {claim.name: claim.verdict for claim in claims(figures, models)}
    assert judged == {"see-saw": "partly seen", "memory": "not seen", "circuits": "not seen"}
    nothing = claims(figures, models[:2])
    assert {claim.verdict for claim in nothing} == {"not measured"}


def test_a_finding_says_what_the_figures_say():
    models = [source("target"), source("ga", True)]
    figures = {"target": figures_of(None, [1, 1], 1), "ga": figures_of(0.9, [1, 1], 1)}
    figures["target"]["distribution"]["forget"]["private_probability"] = 0.95
    texts = [f.text for f in findings(figures, models)]
    assert "target gives the private token a probability of 95%" in texts[0]
    assert texts[1].startswith("ga gives the private token 40%; 90% of what the token lost")
    assert "25% of its answers to forget questions" in texts[-1]


def test_the_shift_of_a_path_leaves_the_embedding_out():
    assert curve_shift([100.0, 4.0, 2.0], [0.0, 5.0, 4.0]) == pytest.approx(0.5)
    assert curve_shift(None, [1.0]) is None
    assert curve_shift([1.0, 2.0], [1.0, 2.0, 3.0]) is None


def test_still_figures_hold_no_text_of_the_data(analysed):
    output, _ = analysed
    for file in (output / "figures").glob("*.svg"):
        text = file.read_text()
        assert not re.search("Beijing|Edinburgh|Li Wei|Evelyn", text), file.name
    assert "Beijing" not in json.dumps(read_json(output / "charts.json"))
