"""Trains the judge: `python -m tools.minilm_nli.train --data DIR --output DIR`.

A cross-encoder on the weights of all-MiniLM-L6-v2, LoRA on every linear layer. DIR of `--data`
holds the folders `snli`, `tofu` and `knowundo_privacy`. The adapter and `accuracy.json`, measured
on what was held back, go to `--output`; copied to `relearn/evaluation/judges/minilm_nli`
the adapter is what `minilm-nli` loads. The data card has the commands of the one that is shipped.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.losses import CrossEntropyLoss
from torch import Tensor
from transformers import PreTrainedModel
from transformers.trainer_pt_utils import LengthGroupedSampler

from relearn.base.storage import read_jsonl, write_json, write_jsonl
from relearn.evaluation.judges.entailment import LABELS, EntailmentJudge
from relearn.evaluation.judges.minilm_nli import classifier, trained_encoder, untrained_encoder
from relearn.store.embedded import EMBEDDED
from tools.minilm_nli.pairs import (
    AuthorPairs,
    Pair,
    as_ordinary_text,
    snli_pairs,
    tofu_held_back,
)


def main() -> None:
    """Train, save and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="Folder of an adapter to go on from.")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--snli-share", type=float, default=1.0, help="Of SNLI in each epoch.")
    parser.add_argument("--offset", type=float, default=0.0, help="Added to contradiction's logit.")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--bf16", action="store_true", help="For a CPU that has it.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    snli, snli_held_back = snli_pairs(options.data / "snli")
    drawn = options.output / "pairs.jsonl"  # kept, since drawing them takes minutes
    if not drawn.is_file():
        authors = AuthorPairs(
            options.data / "tofu", options.data / "knowundo_privacy", options.seed
        )
        write_jsonl(drawn, [asdict(pair) for pair in training_pairs(snli, authors, options)])
    train([Pair(**row) for row in read_jsonl(drawn)], options)
    judge = EntailmentJudge(trained_encoder(options.output))
    held_back = {
        "snli": snli_held_back,
        "snli/ordinary_text": [as_ordinary_text(pair) for pair in snli_held_back],
        "tofu": tofu_held_back(options.data / "tofu"),
    }
    figures = {name: accuracy(judge, pairs) for name, pairs in held_back.items()}
    write_json(options.output / "accuracy.json", figures)


def training_pairs(
    snli: Sequence[Pair], authors: AuthorPairs, options: argparse.Namespace
) -> list[Pair]:
    """Return the pairs of all epochs: SNLI's as they are or as ordinary text, and new draws."""
    rng = random.Random(options.seed)
    pairs: list[Pair] = []
    for _ in range(options.epochs):
        some = rng.sample(snli, round(options.snli_share * len(snli)))
        pairs += [as_ordinary_text(pair) if rng.random() < 0.5 else pair for pair in some]
        pairs += authors.draw()
    return pairs


def train(pairs: Sequence[Pair], options: argparse.Namespace) -> None:
    """Train the adapter on `pairs`, once through, and write it in float16."""
    encoder = untrained_encoder()
    encoder[0].model = _with_adapter(classifier(encoder), options)
    columns = [
        {"premise": p.premise, "hypothesis": p.hypothesis, "label": LABELS.index(p.label)}
        for p in pairs
    ]
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(options.output / "checkpoints"), num_train_epochs=1, seed=options.seed,
        per_device_train_batch_size=32, learning_rate=options.learning_rate, warmup_steps=0.06,
        weight_decay=0.01, bf16=options.bf16, use_cpu=True, batch_sampler=_length_grouped,
        save_steps=0.9, logging_steps=50, report_to=[], disable_tqdm=True,
    )  # fmt: skip
    trainer = CrossEncoderTrainer(
        encoder, arguments, train_dataset=Dataset.from_list(columns), loss=CrossEntropyLoss(encoder)
    )
    trainer.train()
    encoder[0].model.peft_config["default"].base_model_name_or_path = EMBEDDED["minilm"].origin
    encoder[0].model.save_pretrained(options.output)
    file = options.output / "adapter_model.safetensors"
    late = min(options.output.glob("checkpoints/*/"), key=lambda f: int(f.name.split("-")[1]))
    weights = _mean(load_file(late / file.name), load_file(file))
    weights["base_model.model.classifier.bias"][LABELS.index("contradiction")] += options.offset
    save_file({name: tensor.half() for name, tensor in weights.items()}, file)


def _with_adapter(model: PreTrainedModel, options: argparse.Namespace) -> PeftModel:
    if options.start:
        return PeftModel.from_pretrained(model, options.start, is_trainable=True)
    adapter = LoraConfig(
        r=options.rank, lora_alpha=2 * options.rank, task_type="SEQ_CLS",
        target_modules=["query", "key", "value", "dense"],
    )  # fmt: skip
    return get_peft_model(model, adapter)


def _mean(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean of two states of one training, steadier than either."""
    return {name: (first[name].float() + second[name].float()) / 2 for name in second}


def _length_grouped(
    dataset: Dataset, generator: torch.Generator, batch_size: int, **options: Any
) -> DefaultBatchSampler:
    """Make batches of pairs of about the same length, so that little is padding."""
    lengths = [len(row["premise"]) + len(row["hypothesis"]) for row in dataset]
    sampler = LengthGroupedSampler(batch_size, lengths=lengths, generator=generator)
    return DefaultBatchSampler(sampler, generator=generator, batch_size=batch_size, **options)


def accuracy(judge: EntailmentJudge, pairs: Sequence[Pair]) -> dict[str, float | int]:
    """Return the share of rightly labelled pairs, over all and by label, and their number."""
    found = judge([(pair.premise, pair.hypothesis) for pair in pairs])
    right: dict[str, list[bool]] = {"accuracy": []}
    for pair, label in zip(pairs, found, strict=True):
        right["accuracy"].append(label == pair.label)
        right.setdefault(pair.label, []).append(label == pair.label)
    return {"pairs": len(pairs)} | {name: sum(hits) / len(hits) for name, hits in right.items()}


if __name__ == "__main__":
    main()
