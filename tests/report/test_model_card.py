import pytest
import yaml

from helpers.sample_run import records, write_sample_run
from relearn.report.model_card import write_model_card


def test_a_card_has_front_matter_and_the_run_s_figures(tmp_path):
    card = write_model_card(write_sample_run(tmp_path / "run"), tmp_path / "merged").read_text()
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["unlearning", "relearn"],
    }
    assert "| Forget set | KFR, knowledge forgetting rate ↑ | 0.040 | 0.917 |" in body
    assert "The model has forgotten what it was asked to forget" in body


def test_a_card_holds_no_private_text_and_no_path(tmp_path):
    card = write_model_card(write_sample_run(tmp_path / "run"), tmp_path / "merged").read_text()
    for record in records("forget") + records("retain"):
        assert not any(record[field] in card for field in ("question", "answer", "subject"))
    assert "cases/" not in card
    assert str(tmp_path) not in card


@pytest.mark.parametrize("name", ["models/mine", "/srv/models/mine", "./mine", "mine.gguf"])
def test_a_local_base_model_is_not_named(tmp_path, monkeypatch, name):
    folder = write_sample_run(tmp_path / "run")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("name: smollm2-135m", f"name: {name}"))
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    card = write_model_card(folder, tmp_path / "merged").read_text()
    assert "base_model" not in card
    assert "mine" not in card
