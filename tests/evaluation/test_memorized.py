"""Extraction strength and exact memorisation at both ends: memorised by heart, never seen."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from relearn.config import EvaluationConfig, ModelConfig
from relearn.data.batching import IGNORE, TrainingRow, collate
from relearn.data.records import Record
from relearn.evaluation.evaluate import evaluate_model, loaded_when_needed
from relearn.evaluation.passes import EvaluatedModel

RECORDS = {
    "forget": [
        Record(id=str(i), question=f"Who is person {i}?", answer=f"{name} of {town}, born {year}.")
        for i, (name, town, year) in enumerate(
            [("Li Wei", "Beijing", 1971), ("Ana Cruz", "Lima", 1985), ("Ole Dahl", "Bergen", 1990)]
        )
    ]
}
METRICS = ["exact_memorization", "extraction_strength", "verbatim_memorization", "exact_match"]


def by_heart(folder: Path) -> EvaluatedModel:
    """Train all weights of the small random model until it knows the records."""
    model = loaded_when_needed(folder, ModelConfig(dtype="float32"))
    examples = [model.prompt_format.encode(r.question, r.answer) for r in RECORDS["forget"]]
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    batch = collate([TrainingRow(i, e, is_forget=True) for i, e in enumerate(examples)], 2)
    keep = batch["labels"] != IGNORE
    for _ in range(150):
        logits = network(batch["input_ids"], batch["attention_mask"]).logits[keep]
        loss = torch.nn.functional.cross_entropy(logits, batch["labels"][keep])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return EvaluatedModel(model.prompt_format, lambda: network.eval())


def test_a_memorised_model_has_one_and_a_random_one_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    base = loaded_when_needed(tiny_model, ModelConfig(dtype="float32"))
    config = EvaluationConfig(max_new_tokens=40)
    known = evaluate_model(
        by_heart(tiny_model), base, RECORDS, METRICS, config, tmp_path / "a", key=""
    )
    assert known == {f"forget/{name}": 1.0 for name in METRICS}
    unknown = evaluate_model(base, base, RECORDS, METRICS, config, tmp_path / "b", key="")
    assert all(value < 0.05 for value in unknown.values()), unknown


@pytest.mark.slow
def test_the_embedded_model_knows_private_answers_only_when_told(
    knowundo: Path, tmp_path: Path
) -> None:
    """SmolLM2-135M on forget answers of KnowUnDo that it has never seen.

    It can extract next to nothing. Exact memorisation is not near 0: the first choices of a
    language model, given the words before, are right for many common words.
    """
    from relearn.data.sources import load_records
    from relearn.models.loading import model_folder

    records = load_records(str(knowundo / "unlearn_val.json"))[:40]
    base = loaded_when_needed(model_folder("smollm2-135m"), ModelConfig())
    names = METRICS[:2]
    values = evaluate_model(
        base, base, {"forget": records}, names, EvaluationConfig(), tmp_path / "o", key=""
    )
    print(values)
    assert values["forget/extraction_strength"] < 0.1
    assert values["forget/exact_memorization"] < 0.6
