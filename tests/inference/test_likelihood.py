"""Likelihoods and answers of models that learned their texts the ordinary way."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from helpers.tiny_models import random_model, tiny_config, tiny_tokenizer
from relearn.config import EvaluationConfig, ModelConfig, PromptConfig
from relearn.data.records import Record
from relearn.data.tokenization import PLAIN_TEMPLATE, Example
from relearn.evaluation.evaluate import evaluate_model, loaded_when_needed
from relearn.inference.likelihood import batch_log_probs
from relearn.models.loading import load_model, load_prompt_format, model_folder

KNOWN = [
    Record(id="1", question="Where does Ida Holm keep bees?", answer="By the old mill."),
    Record(id="2", question="Who painted the harbour?", answer="Oskar Lind, in May."),
]
METRICS = ["rougeL_recall", "probability", "extraction_strength"]


@pytest.fixture(params=[("gpt2", "base"), ("llama_base", "base_bos"), ("gemma2", "no_system")])
def learned(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model that knows two answers by heart, taught on whole texts as plain transformers would.

    Without a template: "Question: …", a new line, "Answer: …", the tokenizer's end. With one: the
    conversation as the template writes it, up to the token that ends the turn.
    """
    family, kind = request.param
    tokenizer = tiny_tokenizer(kind)
    rows = []
    for record in KNOWN:
        if tokenizer.chat_template is None:
            text = f"Question: {record.question}\nAnswer: {record.answer}"
            rows.append([*tokenizer(text).input_ids, tokenizer.eos_token_id])
            continue
        turns = [("user", record.question), ("assistant", record.answer)]
        text = tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in turns], tokenize=False
        ).rstrip("\n")
        rows.append(tokenizer(text, add_special_tokens=False).input_ids)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos")}
    random = random_model(tiny_config(family, vocab_size=len(tokenizer), pad_token_id=0, **ids))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(random.config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        optimizer.zero_grad()
        for row in rows:
            batch = torch.tensor([row])
            model(batch, labels=batch).loss.backward()
        optimizer.step()
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_what_a_model_knows_by_heart_is_found(learned: Path, tmp_path: Path) -> None:
    """Its answers, their likelihood, and the end of the turn."""
    model = loaded_when_needed(learned, ModelConfig())
    config = EvaluationConfig(max_new_tokens=24)
    values = evaluate_model(
        model, model, {"forget": KNOWN}, METRICS, config, tmp_path / "out", key="k"
    )
    assert values["forget/rougeL_recall"] == 1
    assert values["forget/extraction_strength"] > 0.9
    assert values["forget/probability"] > 0.9


def test_first_token_of_a_base_models_answer() -> None:
    """A real model asked in plain text: as cheap as in the whole text, not as after a space."""
    folder = model_folder("smollm2-135m")
    config = ModelConfig(dtype="float32", prompt=PromptConfig(template=PLAIN_TEMPLATE))
    model, made = load_model(folder, config), load_prompt_format(folder, config)
    question, answer = "What is the capital of France?", "Paris is the capital of France."
    example = made.encode(question, answer, end=False)
    (found,) = batch_log_probs(model, [example], 2)
    whole = made.tokenizer(f"Question: {question}\nAnswer: {answer}").input_ids
    ids = torch.tensor([whole], device=model.device)
    with torch.inference_mode():
        plain = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    torch.testing.assert_close(found, plain[-len(found) :], rtol=1e-3, atol=1e-3)
    spaced = made.tokenizer(f"Question: {question}\nAnswer: ").input_ids
    apart = Example(spaced, made.tokenizer(answer, add_special_tokens=False).input_ids)
    (wrong,) = batch_log_probs(model, [apart], 2)
    print("first token, nats:", -found[0].item(), "after a space:", -wrong[0].item())
    assert wrong[0] < found[0] - 2
