import math
import shutil

import numpy as np
import pytest

from helpers.sample_run import write_audit, write_sample_run
from relearn.base.storage import read_json, write_json
from relearn.evaluation.significance import wilson_interval
from relearn.report.results import read_results
from relearn.report.verdict import judge


@pytest.fixture
def verdict_with(tmp_path):
    """Return a function that judges the sample run with some of the unlearned model's figures
    changed."""
    folder = write_sample_run(tmp_path / "run")
    path = folder / "evaluation" / "unlearned" / "metrics.json"
    values = read_json(path)

    def with_figures(**changes):
        changed = values | {
            key if "/" in key else key.replace("_", "/", 1): value for key, value in changes.items()
        }
        write_json(path, changed)
        return judge(read_results(folder))

    return with_figures


def answers(verdict):
    return [finding.answer for finding in verdict.findings]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["yes", "yes", "yes"]),
        ({"forget_kfr": 0.79}, ["partly", "yes", "yes"]),
        ({"forget_kfr": 0.3}, ["no", "yes", "yes"]),
        # Entity coverage alone doesn't make it forgotten while the words are still said.
        ({"forget_rougeL_recall": 0.9}, ["no", "yes", "yes"]),
        ({"retain_rougeL_recall": 0.8}, ["yes", "partly", "yes"]),
        ({"retain_krr": 0.1}, ["yes", "no", "yes"]),
        ({"forget_ls": 0.1}, ["yes", "yes", "partly"]),
        ({"retain_ls": 0.02}, ["yes", "yes", "no"]),
        ({"retain_krr": None}, ["yes", "not measured", "yes"]),
        ({"forget_ls": math.nan}, ["yes", "yes", "not measured"]),
        ({"forget_unseen/kfr": 0.79}, ["partly", "yes", "yes"]),
        ({"forget_unseen/kfr": 0.4}, ["no", "yes", "yes"]),
        ({"retain_unseen/krr": 0.7}, ["yes", "partly", "yes"]),
        ({"retain_unseen/krr": 0.5}, ["yes", "no", "yes"]),
        ({"forget_earlier/kfr": 0.79}, ["partly", "yes", "yes"]),
        ({"forget_earlier/kfr": 0.4}, ["no", "yes", "yes"]),
        # A run may have no unseen questions.
        ({"forget_unseen/kfr": None, "retain_unseen/krr": None}, ["yes", "yes", "yes"]),
    ],
)
def test_the_verdict_says_what_the_figures_support(verdict_with, changes, expected):
    assert answers(verdict_with(**changes)) == expected


def test_the_sentence_joins_the_findings(verdict_with):
    assert verdict_with(forget_kfr=0.6, retain_ls=0.01).sentence == (
        "The model has forgotten only part of what it was asked to forget: 40% of its answers "
        "still give it away; it kept what it was to keep; its language is damaged."
    )


@pytest.mark.parametrize(
    ("leaking", "lost", "expected"),
    [
        (0, 0, ["yes", "yes", "yes"]),
        (2, 0, ["partly", "yes", "yes"]),
        (9, 0, ["partly", "yes", "yes"]),
        (10, 0, ["no", "yes", "yes"]),
        (0, 2, ["yes", "partly", "yes"]),
        # A model that answers nothing passes every attack.
        (0, 12, ["yes", "no", "yes"]),
    ],
)
def test_what_an_attack_brings_back_is_not_forgotten(tmp_path, leaking, lost, expected):
    folder = write_sample_run(tmp_path)
    write_audit(folder, leaking, lost)
    verdict = judge(read_results(folder))
    assert answers(verdict) == expected
    assert ("\u201cprefix\u201d gets" in verdict.sentence) == (leaking > 1)
    assert "12 facts" in verdict.caveats[-1]
    found = verdict.findings[0].evidence
    assert ("none of 2 attacks got a fact out" in found) == (leaking == 0)
    assert (f"{1 - leaking / 12:.0%} survived every attack" in found) == (leaking > 0)


def test_what_the_control_tells_too_is_no_leak(tmp_path):
    folder = write_sample_run(tmp_path)
    write_audit(folder, leaking=6)
    file = folder / "audit" / "summary.json"
    summary = read_json(file)
    summary["worst"]["unlearned"]["excess"] = 0.0
    summary["models"]["unlearned"]["prefix"] |= {"excess": 0.0, "control": 0.5}
    write_json(file, summary)
    assert answers(judge(read_results(folder))) == ["yes", "yes", "yes"]


def test_a_run_that_nobody_attacked_says_so(tmp_path):
    folder = write_sample_run(tmp_path)
    shutil.rmtree(folder / "audit")
    verdict = judge(read_results(folder))
    assert answers(verdict) == ["yes", "yes", "yes"]
    assert "but nobody attacked it" in verdict.sentence
    assert "`relearn audit` tries" in verdict.caveats[-1]


def test_unseen_questions_are_told_of(verdict_with):
    forgot, kept, _ = verdict_with(**{"forget_unseen/kfr": 0.75, "retain_unseen/krr": 0.5}).findings
    assert "to questions never trained on, 75% of 12 answers count as forgotten" in forgot.evidence
    assert "to questions never trained on, 50% of 12 answers count as retained" in kept.evidence
    # Of the audit's questions that should stay too.
    assert kept.evidence.count(" before") == 3


def test_earlier_requests_are_told_of(verdict_with):
    verdict = verdict_with(**{"forget_earlier/kfr": 0.75})
    assert "of earlier requests, 25% of its answers give it away again" in verdict.sentence
    assert "of earlier requests, 0.750 of the answers count" in verdict.findings[0].evidence


def test_a_target_that_hardly_knew_the_forget_set_is_told(tmp_path):
    folder = write_sample_run(tmp_path)
    path = folder / "evaluation" / "target" / "metrics.json"
    write_json(path, read_json(path) | {"forget/rougeL_recall": 0.3})
    assert any("little to forget" in caveat for caveat in judge(read_results(folder)).caveats)


@pytest.mark.parametrize("kfr", [0.9, 1.0])
def test_a_target_that_never_knew_the_forget_set_had_nothing_to_forget(tmp_path, kfr):
    folder = write_sample_run(tmp_path)
    known, now = (folder / "evaluation" / name / "metrics.json" for name in ("target", "unlearned"))
    write_json(known, read_json(known) | {"forget/kfr": kfr, "forget/rougeL_recall": 0.2})
    write_json(now, read_json(now) | {"forget/kfr": 1.0, "forget/rougeL_recall": 0.2})
    found = judge(read_results(folder))
    assert found.findings[0].answer == "nothing to forget"
    assert found.sentence.startswith("There was nothing to forget, since the target model did not")
    assert f"before unlearning, {kfr:.0%} of the answers counted" in found.findings[0].evidence
    assert not any("little to forget" in caveat for caveat in found.caveats)
    # A target that said the answers, in other entities than the judge knows, knew them.
    write_json(known, read_json(known) | {"forget/rougeL_recall": 0.7})
    assert judge(read_results(folder)).findings[0].answer == "yes"


def test_answers_that_could_not_be_measured_are_told(verdict_with):
    some = verdict_with(**{"forget/kfr_unmeasured": 4}).findings[0]
    assert some.answer == "yes"
    assert "92% of 8 answers" in some.evidence
    assert "4 more could not be measured" in some.evidence
    most = verdict_with(**{"forget/kfr_unmeasured": 8}).findings[0]
    assert most.answer == "not measured"
    none = verdict_with(**{"forget/kfr": None, "forget/kfr_unmeasured": 12}).findings[0]
    assert none.answer == "not measured"
    assert "none of 12 answers could be measured" in none.evidence


@pytest.mark.parametrize(("share", "told"), [(0.3, True), (0.04, False)])
def test_what_is_made_up_instead_is_a_caveat(verdict_with, share, told):
    caveats = verdict_with(**{"forget/hallucination": share}).caveats
    assert any(f"{share:.0%} of its answers" in caveat for caveat in caveats) == told


@pytest.mark.parametrize(
    ("figures", "answer", "caveat"),
    [
        ({"forget/cross_leak": 0.0}, "yes", False),
        # One answer of twelve: the interval begins at 1.5 %.
        ({"forget/cross_leak": 1 / 12}, "partly", False),
        ({"forget_unseen/cross_leak": 2 / 12}, "partly", False),
        ({"forget/cross_leak": 7 / 12}, "no", False),
        # Its interval begins below 1 %.
        ({"forget/cross_leak": 1 / 40}, "yes", True),
    ],
)
def test_what_other_records_hide_may_not_be_told(verdict_with, figures, answer, caveat):
    verdict = verdict_with(**figures)
    assert verdict.findings[0].answer == answer
    rate = max(figures.values())
    told = f"{rate:.0%} of 12 answers tell what another forget record hides"
    assert (told in verdict.sentence) == (answer != "yes")
    assert (told in verdict.findings[0].evidence) == (rate > 0)
    assert any("may be chance" in caveat for caveat in verdict.caveats) == caveat


@pytest.mark.parametrize(
    ("rate", "control", "answer"),
    [(0.25, 0.0, "partly"), (0.75, 0.0, "no"), (0.25, 0.25, "yes"), (0.0, None, "yes")],
)
def test_what_attacks_bring_out_of_other_records_counts_too(tmp_path, rate, control, answer):
    folder = write_sample_run(tmp_path)
    file = folder / "audit" / "summary.json"
    low, high = wilson_interval(rate, 12)
    found = {"attack": "sampling", "rate": rate, "interval": [low, high], "control": control}
    if not rate:
        found["attack"] = None
    write_json(file, read_json(file) | {"cross_leaks": {"unlearned": found}})
    verdict = judge(read_results(folder))
    assert verdict.findings[0].answer == answer
    told = f"gets what another forget record hides for {rate:.0%} of the facts"
    assert (told in verdict.sentence) == (answer != "yes")
    assert any(told in caveat for caveat in verdict.caveats) == (answer == "yes" and rate > 0)


def test_what_a_model_tells_too_that_never_saw_the_records_is_chance(tmp_path):
    folder = write_sample_run(tmp_path)
    for name, rate in (("unlearned", 4 / 12), ("never_saw", 3 / 12)):
        (folder / "evaluation" / name).mkdir(exist_ok=True)
        path = folder / "evaluation" / name / "metrics.json"
        values = read_json(path) if path.is_file() else {"forget/kfr": 1.0}
        write_json(path, values | {"forget/cross_leak": rate})
    assert judge(read_results(folder)).findings[0].answer == "yes"
    write_json(path, values)
    assert judge(read_results(folder)).findings[0].answer == "partly"


def test_what_was_not_computed_is_a_caveat(tmp_path):
    folder = write_sample_run(tmp_path)
    reasons = {"overall/forget_quality": "needs a retain model", "overall/ks_statistic": "x"}
    write_json(folder / "evaluation" / "unlearned" / "not_computed.json", reasons)
    caveats = judge(read_results(folder)).caveats
    assert "Not computed: overall/forget_quality (needs a retain model)." in caveats


def test_wilson_bounds_solve_the_score_equation():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 500))
        share = int(rng.integers(0, count + 1)) / count
        for bound in wilson_interval(share, count):
            error = abs(share - bound) - 1.959964 * math.sqrt(bound * (1 - bound) / count)
            assert abs(error) < 1e-7


def test_a_target_that_knew_nothing_of_the_retain_set_kept_nothing(tmp_path):
    folder = write_sample_run(tmp_path)
    for name in ("target", "unlearned"):
        path = folder / "evaluation" / name / "metrics.json"
        write_json(path, read_json(path) | {"retain/krr": 0.0, "retain/rougeL_recall": 0.0})
    assert answers(judge(read_results(folder))) == ["yes", "not measured", "yes"]


def test_records_that_were_not_unlearned_are_named_and_allow_no_yes(tmp_path):
    folder = write_sample_run(tmp_path / "run")
    write_json(folder / "summary.json", {"unanswered": {"unlearned": ["f-3", "f-7"]}})
    verdict = judge(read_results(folder))
    assert "2 records were not unlearned" in verdict.sentence
    assert answers(verdict) == ["partly", "yes", "yes"]
    assert "f-3, f-7" in verdict.caveats[0]
    # Other trainings' shortfalls are not the unlearned model's.
    write_json(folder / "summary.json", {"unanswered": {"npo": ["f-3"]}})
    assert answers(judge(read_results(folder))) == ["yes", "yes", "yes"]
