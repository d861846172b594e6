"""Results and checkpoints of open-unlearning, beside relearn's own."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from helpers.record_files import as_lines
from relearn.base.errors import UserError
from relearn.base.storage import read_json
from relearn.cli import app
from relearn.config import ModelConfig
from relearn.evaluation.evaluate import names_model, read_evaluated_rows
from relearn.evaluation.open_unlearning import read_figures
from relearn.evaluation.scoring import score
from relearn.models.loading import load_tokenizer

TOFU = {
    "forget_quality": 1.88e-4, "model_utility": 0.55, "forget_truth_ratio": 0.36,
    "forget_Q_A_Prob": 0.5, "forget_Q_A_ROUGE": 0.4, "retain_Q_A_ROUGE": 0.7,
    "ra_Q_A_Prob_normalised": 0.45, "wf_Truth_Ratio": 0.6, "extraction_strength": 0.2,
    "privleak": -57.26, "mia_min_k": 0.9, "forget_Q_A_gibberish": 0.8,
}  # fmt: skip
MUSE = {
    "forget_knowmem_ROUGE": 0.64, "retain_knowmem_ROUGE": 0.56, "forget_verbmem_ROUGE": 0.58,
    "extraction_strength": 0.3, "privleak": 52.11,
}  # fmt: skip


def write(file: Path, content: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_figures_have_relearns_names(tmp_path: Path) -> None:
    found = read_figures(write(tmp_path / "TOFU_SUMMARY.json", TOFU))
    assert found == {
        "overall/forget_quality": 1.88e-4, "overall/model_utility": 0.55,
        "forget/truth_ratio": 0.36, "forget/probability": 0.5, "forget/rougeL_recall": 0.4,
        "retain/rougeL_recall": 0.7, "real_authors/probability": 0.45,
        "world_facts/truth_ratio": 0.6, "forget/extraction_strength": 0.2,
        "overall/privacy_leakage": pytest.approx(-0.5726), "overall/mia_min_k_auc": 0.9,
    }  # fmt: skip
    muse = read_figures(write(tmp_path / "MUSE_SUMMARY.json", MUSE))
    assert muse == {
        "forget_questions/knowledge_memorization": 0.64,
        "retain_questions/knowledge_memorization": 0.56, "forget_verbatim/rougeL_f1": 0.58,
        "forget_verbatim/extraction_strength": 0.3,
        "overall/privacy_leakage": pytest.approx(0.5211),
    }  # fmt: skip
    # The long file has the same figures, each with its rows.
    long = {name: {"agg_value": value, "value_by_index": {}} for name, value in TOFU.items()}
    assert read_figures(write(tmp_path / "TOFU_EVAL.json", long)) == found


def evaluated(record: dict[str, Any]) -> dict[str, Any]:
    """TOFU's own record of a model's losses, as open-unlearning writes it."""
    found = {}
    for name, field in (("PARA", "avg_paraphrased_loss"), ("PERT", "average_perturb_loss")):
        losses = {i: {"avg_loss": loss} for i, loss in record[field].items()}
        found[f"forget_Q_A_{name}_Prob"] = {"agg_value": 0.5, "value_by_index": losses}
    return found


def test_forget_quality_of_its_rows_is_the_recorded_one(data_files: Path, tmp_path: Path) -> None:
    file = data_files / "recorded" / "tofu_phi_1_5_full_vs_retain90.json"
    recorded = json.loads(file.read_text(encoding="utf-8"))
    rows = {}
    for model in ("target", "retain_model"):
        content = evaluated(recorded[model]["eval_log_forget.json"])
        rows[model] = read_evaluated_rows(
            write(tmp_path / model / "TOFU_EVAL.json", content).parent
        )
    assert rows["target"][0].id == "forget-00001"
    values = score(rows["target"], ["forget_quality", "ks_statistic"], rows["retain_model"])
    expected = recorded["expected"]
    assert values["overall/forget_quality"] == pytest.approx(expected["forget_quality_pvalue"])
    assert values["overall/ks_statistic"] == pytest.approx(expected["ks_statistic"])
    # Control: against itself no model can be told apart.
    itself = score(rows["target"], ["forget_quality"], rows["target"])
    assert itself["overall/forget_quality"] == 1
    assert not names_model(str(tmp_path / "target"))
    assert names_model(str(tmp_path / "nothing"))


def test_all_results_in_one_table(tmp_path: Path) -> None:
    theirs = write(tmp_path / "NPO" / "TOFU_SUMMARY.json", TOFU)
    ours = tmp_path / "mine"
    write(ours / "metrics.json", {"forget/rougeL_recall": 0.25, "forget/kfr": 0.75})
    run = tmp_path / "run"
    write(run / "evaluation" / "unlearned" / "metrics.json", {"forget/rougeL_recall": 0.125})
    shown = CliRunner().invoke(
        app, ["results", str(theirs.parent), str(ours), str(run)], env={"COLUMNS": "200"}
    )
    assert shown.exit_code == 0
    (line,) = [each for each in shown.output.splitlines() if "forget/rougeL_recall" in each]
    assert [cell.strip() for cell in line.split("│")[2:5]] == ["0.400", "0.250", "0.125"]
    listed = CliRunner().invoke(app, ["results", str(theirs), str(ours), "--json"])
    found = json.loads(listed.stdout)
    assert found["mine"] == {"forget/rougeL_recall": 0.25, "forget/kfr": 0.75}
    assert len(found) == 2


def test_what_holds_no_results_is_said(tmp_path: Path) -> None:
    other = write(tmp_path / "other.json", {"accuracy": 1})
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for place, problem in ((tmp_path / "none", "holds no results"), (other, "none of open-unlea"),
                           (broken, "can't be read as JSON")):  # fmt: skip
        refused = CliRunner().invoke(app, ["results", str(place)])
        assert isinstance(refused.exception, UserError)
        assert problem in str(refused.exception)
    with pytest.raises(UserError, match="no values of single rows"):
        read_evaluated_rows(write(tmp_path / "s" / "TOFU_SUMMARY.json", TOFU))


def test_a_checkpoint_is_a_model(tiny_model: Path, tmp_path: Path) -> None:
    """A Trainer's folder, as open-unlearning saves it: weights, tokenizer, and its own files."""
    folder = tmp_path / "saves" / "unlearn" / "tofu_NPO"
    AutoModelForCausalLM.from_pretrained(tiny_model).save_pretrained(folder)
    load_tokenizer(tiny_model, ModelConfig()).save_pretrained(folder)
    write(folder / "trainer_state.json", {"global_step": 60, "log_history": []})
    (folder / "training_args.bin").write_bytes(b"\x80\x02}q\x00.")  # a pickle, never opened
    write(folder / "evals" / "TOFU_SUMMARY.json", TOFU)
    file = tmp_path / "forget.jsonl"
    file.write_bytes(as_lines([{"question": "Who is it?", "answer": "It is Ann."}]))
    done = CliRunner().invoke(
        app,
        ["evaluate", "--model", str(folder), "--suite", "custom", "--data", f"forget={file}",
         "--metric", "rougeL_recall", "--output", str(tmp_path / "ours"),
         "--set", "evaluation.max_new_tokens=4"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "forget/rougeL_recall" in read_json(tmp_path / "ours" / "metrics.json")
    shown = CliRunner().invoke(app, ["results", str(tmp_path / "ours"), str(folder / "evals")])
    assert shown.exit_code == 0
    against = CliRunner().invoke(
        app,
        ["evaluate", "--model", str(folder), "--suite", "custom", "--data", f"forget={file}",
         "--against", str(folder / "evals"), "--output", str(tmp_path / "more")],
    )  # fmt: skip
    assert isinstance(against.exception, UserError)
