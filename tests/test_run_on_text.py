"""The whole job on plain text: from a book to a report, with questions among what is kept."""

import json
from pathlib import Path

from relearn.base.storage import read_jsonl
from relearn.config import load_config
from relearn.run import run

PROSE = Path(__file__).parent / "data_files" / "prose"
TINY = {"epochs": 1, "learning_rate": 1e-3, "lora": {"rank": 4}}


def test_a_book_is_unlearned_beside_questions_that_are_kept(
    tmp_path: Path, tiny_model: Path
) -> None:
    asked = [{"question": f"What is {n} and {n}?", "answer": f"It is {2 * n}."} for n in range(4)]
    (tmp_path / "retain.jsonl").write_text("\n".join(map(json.dumps, asked)), encoding="utf-8")
    named = {
        "model.name": str(tiny_model),
        "data.forget": str(PROSE / "ferry.txt"),
        "data.retain": str(tmp_path / "retain.jsonl"),
        "data.retain_unseen": str(PROSE / "others"),
        "data.passage_tokens": 80,
        "training": TINY,
        "baselines": {"npo": TINY | {"objective": "npo"}},
        "synthesis": {"variants": 1, "generic_ratio": 0.2},
        "evaluation.max_new_tokens": 8,
        "audit": {"attacks": ["question", "prefix", "membership"]},
    }
    output = tmp_path / "run"
    summary = run(load_config(named=named), output)
    assert summary["unanswered"] == {}
    metrics = summary["unlearned"]
    for name in ("forget/kfr", "forget/verbatim_memorization", "forget/extraction_strength",
                 "forget/probability", "retain_unseen/probability", "retain/krr"):  # fmt: skip
        assert 0 <= metrics[name] <= 1
    rows = read_jsonl(output / "evaluation" / "unlearned" / "rows.jsonl")
    assert {row["set"] for row in rows if row.get("continues")} == {"forget", "retain_unseen"}
    assert all(row["measured_by"] in ("text", "passage") for row in rows if row.get("continues"))
    written = read_jsonl(output / "synthesis" / "augmented.jsonl")
    assert {row["kind"] for row in written if row.get("continues")} >= {"original", "passage"}
    assert not any(row.get("continues") for row in written if row["kind"] == "generic")
    assert (output / "report.html").is_file()
