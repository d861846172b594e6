"""The data that the tests bring along is what its README says: cut from the published sets."""

import json
import re
from pathlib import Path

from tools.minilm_nli.pairs import snli_pairs, tofu_held_back


def test_the_readme_names_every_file(data_files: Path) -> None:
    readme = (data_files / "README.md").read_text(encoding="utf-8")
    patterns = re.findall(r"`([\w/*.]+\.(?:json|jsonl|tsv|txt|md))`", readme)
    named = {file for pattern in patterns for file in data_files.glob(pattern)}
    shipped = {file for file in data_files.rglob("*") if file.is_file()}
    assert shipped == named | {data_files / "tofu" / "LICENSE", data_files / "README.md"}
    assert sum(file.stat().st_size for file in shipped) < 1.5e6


def test_published_files_are_cut_at_the_end_only(
    data_files: Path, knowundo: Path, whole_data: Path
) -> None:
    for folder, source in ((data_files / "tofu", "tofu"), (knowundo, "knowundo_privacy")):
        for file in folder.iterdir():
            assert (whole_data / source / file.name).read_bytes().startswith(file.read_bytes())
    licence = whole_data / "knowundo_privacy" / "LICENSE"
    assert (knowundo.parent / "LICENSE").read_bytes() == licence.read_bytes()


def test_records_have_the_published_values(data_files: Path, whole_data: Path) -> None:
    name = "recorded/relearn_knowundo_llama2_7b.json"
    assert (data_files / name).read_bytes() == (whole_data / name).read_bytes()
    name = "recorded/tofu_phi_1_5_full_vs_retain90.json"
    ours, published = (json.loads((at / name).read_text()) for at in (data_files, whole_data))
    for model in ("target", "retain_model"):
        for record in published[model].values():
            del record["generated_text"], record["num_token_gt"]
    assert ours == published


def test_held_back_pairs_are_every_third(data_files: Path, whole_data: Path) -> None:
    tofu = tofu_held_back(whole_data / "tofu")
    pairs = {
        "snli": snli_pairs(whole_data / "snli")[1][::3],
        "tofu": [pair for i in range(0, len(tofu), 18) for pair in tofu[i : i + 6]],
    }
    for name, expected in pairs.items():
        lines = (data_files / f"held_back_pairs/{name}.tsv").read_text().splitlines()[1:]
        assert lines == [f"{p.premise}\t{p.hypothesis}\t{p.label}" for p in expected]
