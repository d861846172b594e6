from helpers.sample_run import write_audit
from relearn.base.storage import read_json, write_json
from relearn.report.audit import read_audit


def test_curves_take_the_worst_of_a_grid_and_each_way_apart(tmp_path):
    write_audit(tmp_path)
    file = tmp_path / "audit" / "summary.json"
    summary = read_json(file)
    variants = {
        "half, rate 1e-4, step 2": 0.1,
        "half, rate 1e-4, step 8": 0.5,
        "half, rate 1e-3, step 2": 0.3,
        "half, rate 1e-3, step 8": 0.4,
        "retain, rate 1e-4, step 2": None,
        "retain, rate 1e-4, step 8": 0.2,
    }
    again = summary["models"]["unlearned"]["prefix"] | {"variants": variants}
    summary["models"]["unlearned"]["relearning"] = again
    write_json(file, summary)
    curves = read_audit(tmp_path).curves
    along, by_model = curves["relearning, half"]
    assert along == "optimizer steps"
    assert by_model == {"unlearned": [("step 2", 0.3), ("step 8", 0.5)]}
    assert curves["relearning, retain"][1] == {"unlearned": [("step 8", 0.2)]}
    assert curves["prefix"][1]["target"] == [("k=1", 0.5), ("k=private", 1.0)]


def test_leaks_are_the_unlearned_models_and_not_the_controls(tmp_path):
    write_audit(tmp_path, leaking=12)
    found = read_audit(tmp_path)
    assert len(found.leaks) == 10
    assert len({leak.id for leak in found.leaks}) == 10
    # A true answer that the model only preferred to wrong ones is nothing that it said.
    (tmp_path / "audit" / "prefix.jsonl").rename(tmp_path / "audit" / "ranking.jsonl")
    file = tmp_path / "audit" / "summary.json"
    summary = read_json(file)
    for figures in summary["models"].values():
        figures["ranking"] = figures.pop("prefix")
    summary["worst"]["unlearned"]["attack"] = "ranking"
    write_json(file, summary)
    assert {leak.attack for leak in read_audit(tmp_path).leaks} == {"question"}
    redacted = found.redacted().leaks
    assert {(leak.prompt, leak.answer) for leak in redacted} == {(None, None)}
    assert read_audit(tmp_path / "elsewhere") is None
