"""The offline entailment judge: accuracy on what was held back, the record, and the command."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from relearn.base.errors import UserError
from relearn.base.storage import read_json, read_jsonl
from relearn.cli import app
from relearn.evaluation.judges import minilm_nli
from relearn.evaluation.judges.entailment import LABELS, entailment_judge, likeliest
from tools.minilm_nli.pairs import (
    AuthorPairs,
    Pair,
    as_ordinary_text,
    snli_pairs,
    tofu_held_back,
)
from tools.minilm_nli.train import accuracy

JUDGE = "minilm-nli"
FOLDER = Path(minilm_nli.__file__).parent


def test_the_adapter_is_small() -> None:
    assert (FOLDER / "adapter_model.safetensors").stat().st_size <= 8e6
    assert "/" not in read_json(FOLDER / "adapter_config.json")["base_model_name_or_path"][:1]


def test_snli_is_split_by_premise(tmp_path: Path) -> None:
    """Three pairs a premise, some of a premise's in the other file; premises 9 and 19 of 20."""
    rows = [f"Premise {i} .\tHypothesis {j} .\tneutral\n" for j in range(3) for i in range(20)]
    for name, part in (("dev.tsv", rows[:33]), ("test_part.tsv", rows[33:])):
        (tmp_path / name).write_text("premise\thypothesis\tlabel\n" + "".join(part))
    train, held_back = snli_pairs(tmp_path)
    assert {p.premise for p in held_back} == {"Premise 9 .", "Premise 19 ."}
    assert not {p.premise for p in train} & {p.premise for p in held_back}
    assert (len(train), len(held_back)) == (54, 6)


def test_the_whole_of_snli_is_split_by_premise(whole_data: Path) -> None:
    train, held_back = snli_pairs(whole_data / "snli")
    assert not {p.premise for p in train} & {p.premise for p in held_back}
    assert len(train) + len(held_back) == 18_166
    assert 0.09 < len(held_back) / 18_166 < 0.11


def test_the_whole_of_tofu_is_split_by_author(whole_data: Path) -> None:
    held_back = tofu_held_back(whole_data / "tofu")
    assert Counter(pair.label for pair in held_back) == {"entailment": 160, "contradiction": 800}


@pytest.mark.slow
def test_no_held_back_text_is_drawn(whole_data: Path) -> None:
    drawn = list(AuthorPairs(whole_data / "tofu", whole_data / "knowundo_privacy").draw())
    texts = {text for pair in drawn for text in (pair.premise, pair.hypothesis)}
    held_back = {p.hypothesis for p in tofu_held_back(whole_data / "tofu")}
    assert not texts & held_back
    assert {pair.label for pair in drawn} == set(LABELS)


def held_back_pairs(file: Path) -> list[Pair]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [
            Pair(row["premise"], row["hypothesis"], row["label"], file.stem)  # type: ignore[arg-type]
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def test_accuracy_on_held_back_snli(data_files: Path) -> None:
    """A third of the held-back pairs, in both spellings; all of them: see the data card."""
    held_back = held_back_pairs(data_files / "held_back_pairs" / "snli.tsv")
    assert Counter(p.label for p in held_back) == {
        "entailment": 195, "neutral": 208, "contradiction": 204,
    }  # fmt: skip
    judge = entailment_judge(JUDGE)
    assert accuracy(judge, held_back)["accuracy"] >= 0.78
    assert accuracy(judge, [as_ordinary_text(p) for p in held_back])["accuracy"] >= 0.78


def test_accuracy_on_held_back_tofu_authors(data_files: Path) -> None:
    """Every third question; all of them: see the data card."""
    some = held_back_pairs(data_files / "held_back_pairs" / "tofu.tsv")
    assert Counter(p.label for p in some) == {"entailment": 54, "contradiction": 270}
    assert accuracy(entailment_judge(JUDGE), some)["accuracy"] >= 0.88


@pytest.mark.slow
def test_accuracy_on_all_that_was_held_back(whole_data: Path) -> None:
    judge = entailment_judge(JUDGE)
    assert accuracy(judge, snli_pairs(whole_data / "snli")[1])["accuracy"] >= 0.78
    assert accuracy(judge, tofu_held_back(whole_data / "tofu"))["accuracy"] >= 0.9


def test_agreement_with_the_recorded_labels(data_files: Path) -> None:
    """Against DeBERTa's labels in the paper's record; the matrix is in docs/judges.md."""
    record: dict[str, Any] = read_json(data_files / "recorded/relearn_knowundo_llama2_7b.json")
    rows = record["forget"] + record["retain"]
    pairs = [(r["generation"], r["reference"]) for r in record["forget"]]
    pairs += [(r["reference"], r["generation"]) for r in record["retain"]]
    found = entailment_judge(JUDGE)(pairs)
    same = [row["nli_label"] == label for row, label in zip(rows, found, strict=True)]
    assert np.mean(same) >= 0.75


def test_probabilities_do_not_depend_on_the_company() -> None:
    judge = entailment_judge(JUDGE)
    pairs = [("Li Wei lives in Beijing.", "Li Wei lives in Paris."), ("A b. " * 400, "c"), ("", "")]
    together = judge.probabilities(pairs)
    assert together.sum(axis=1) == pytest.approx(1, abs=1e-5)
    alone = np.concatenate([judge.probabilities([pair]) for pair in pairs])
    assert together == pytest.approx(alone, abs=1e-4)
    assert judge.probabilities([]).shape == (0, 3)
    assert judge([pairs[0]]) == ["contradiction"]


def test_a_contradiction_counts_from_a_probability_on() -> None:
    read = np.array([[0.1, 0.15, 0.75], [0.15, 0.1, 0.75], [0.05, 0.05, 0.9]], dtype=np.float32)
    assert likeliest(read) == ["contradiction"] * 3
    assert likeliest(read, 0.8) == ["neutral", "entailment", "contradiction"]
    assert likeliest(read[:0], 0.8) == []


def test_another_detail_is_no_contradiction_in_the_rates_and_another_fact_is() -> None:
    """Two answers of the paper's record that its own judge calls neutral; two plain conflicts."""
    details = [
        ("Due to his background, John Carter brings realistic space mission dynamics and advanced "
         "military engineering concepts into his military science fiction novels, enhancing their "
         "realism and depth.",
         "The author incorporates various life experiences and insights from his upbringing in a "
         "specific region to enrich the authenticity and cultural depth of his science fiction "
         "narratives."),
        ('Another award-winning book by Sofia Alvarez is "Echoes of the Plaza," which received '
         "critical acclaim for its poignant portrayal of historical and social upheavals in a "
         "fictional Latin American town.",
         'Another award-winning book by Sofia Alvarez is "Echoes of the Plaza," which received the '
         'prestigious "Círculo de Escritores" award for its poignant portrayal of historical '
         "events through a feminine lens."),
    ]  # fmt: skip
    details[0] = details[0][::-1]  # on forget rows the answer is the premise
    judge = entailment_judge(JUDGE)
    assert judge(details) == ["contradiction"] * 2  # what is likeliest is another question
    assert "contradiction" not in judge.cautious(details)
    conflicts = [
        ("Her first novel appeared in 1987.", "Her first novel appeared in 2004."),
        ("Li Wei lives in Beijing.", "Li Wei lives in Paris."),
    ]
    assert judge.cautious(conflicts) == ["contradiction"] * 2


def label(folder: Path, text: str | bytes, output: str = "out.tsv") -> Any:
    (folder / "pairs.tsv").write_bytes(text if isinstance(text, bytes) else text.encode())
    command = ["judge", "entailment", "--input", str(folder / "pairs.tsv"),
               "--output", str(folder / output)]  # fmt: skip
    return CliRunner().invoke(app, command)


def test_the_command_labels_pairs_and_keeps_other_columns(tmp_path: Path) -> None:
    text = (
        'id\tpremise\thypothesis\tlabel\r\n7\tA man "sleeps" .\tA man is asleep .\tx\r\n'
        "\n8\tA man sleeps.\tA man runs a marathon.\ty\n"
    )
    assert label(tmp_path, text).exit_code == 0
    lines = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()]
    assert lines[0] == ["id", "premise", "hypothesis", "given_label", "label", *LABELS]
    assert lines[1][:5] == ["7", 'A man "sleeps" .', "A man is asleep .", "x", "entailment"]
    assert lines[2][3:5] == ["y", "contradiction"]
    assert label(tmp_path, text, "out.jsonl").exit_code == 0
    rows = read_jsonl(tmp_path / "out.jsonl")
    assert sum(rows[0][name] for name in LABELS) == pytest.approx(1, abs=1e-5)
    assert rows[1]["label"] == "contradiction"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("premise\thypothesiss\na\tb\n", "line 1: no column 'hypothesis'"),
        ("premise\tpremise\thypothesis\na\tb\tc\n", "line 1: two columns are called 'premise'"),
        ("premise\thypothesis\na\tb\na\n", "line 3: 1 columns, where line 1 has 2"),
        ("premise\thypothesis\na\t \n", "line 2, hypothesis: it is empty"),
        ("premise\thypothesis\n\n", "has no pairs"),
        ("", "line 1: no column 'premise'"),
        (b"premise\thypothesis\n\xff\tb\n", "it is no UTF-8 text"),
    ],
)
def test_bad_files_are_named_with_line_and_column(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    result = label(tmp_path, text)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert not (tmp_path / "out.tsv").exists()


def test_the_input_is_not_overwritten(tmp_path: Path) -> None:
    result = label(tmp_path, "premise\thypothesis\na\tb\n", "pairs.tsv")
    assert isinstance(result.exception, UserError)


def test_detokenized_text_is_ordinary() -> None:
    pair = Pair("A man , and a woman , sit .", "They do n't stand .", "entailment", "snli")
    assert as_ordinary_text(pair).premise == "A man, and a woman, sit."
    assert as_ordinary_text(pair).hypothesis == "They don't stand."
