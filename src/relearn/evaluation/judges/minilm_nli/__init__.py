"""The offline entailment judge: its adapter and its data card; `tools/minilm_nli` trained it."""

from pathlib import Path

from peft import PeftModel
from sentence_transformers import CrossEncoder
from transformers import PreTrainedModel

from relearn.base.quiet import quiet
from relearn.evaluation.judges.entailment import LABELS
from relearn.store.embedded import embedded_folder

# From here on it says contradiction as often as the record's judge: `tools/judge_agreement.py`.
CONTRADICTION_FROM = 0.8
LONGEST = 256  # word pieces of a pair; MiniLM was trained on no longer texts


def untrained_encoder() -> CrossEncoder:
    """Return a cross-encoder on MiniLM's weights whose classification head is random."""
    # That the head is new, and the rest an embedding model's, is meant so and no news.
    with quiet("transformers", "sentence_transformers"):
        return CrossEncoder(
            str(embedded_folder("minilm")),
            num_labels=len(LABELS),
            max_length=LONGEST,
            config_kwargs={
                "id2label": dict(enumerate(LABELS)),
                "label2id": {label: i for i, label in enumerate(LABELS)},
            },
        )


def classifier(encoder: CrossEncoder) -> PreTrainedModel:
    """Return the transformers model inside a cross-encoder."""
    model = encoder.transformers_model
    assert model is not None
    return model


def trained_encoder(adapter: Path = Path(__file__).parent) -> CrossEncoder:
    """Return the judge's cross-encoder, with the adapter in the folder `adapter` merged in."""
    encoder = untrained_encoder()
    model = PeftModel.from_pretrained(classifier(encoder), adapter)
    encoder[0].model = model.merge_and_unload()
    return encoder.eval()
