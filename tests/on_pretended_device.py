"""Runs relearn on the pretended device, part by part: on_pretended_device.py MODEL FOLDER.

Prints a JSON object: for each part, "" or the last line of what went wrong.
"""

import importlib.util
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from helpers.analyses import SMALL, write_sets
from helpers.pretended_device import DEVICE, Pretended, pretended_device
from helpers.trainings import TINY_OPTIONS, Killed, examples
from relearn.analysis.command import run_analysis
from relearn.analysis.inputs import from_options
from relearn.config import EvaluationConfig, LLMConfig, MemorizeConfig, ModelConfig, TrainingConfig
from relearn.data.records import Record
from relearn.data.row_layout import RowLayout
from relearn.data.tokenization import PromptFormat
from relearn.evaluation.evaluate import loaded_when_needed
from relearn.evaluation.passes import PASSES, make_pass
from relearn.evaluation.rows import EvaluatedRow
from relearn.llm.base import Prompt
from relearn.llm.transformers import Transformers
from relearn.models.loading import load_model, load_tokenizer
from relearn.models.merging import write_merged, write_ties
from relearn.objectives import OBJECTIVES
from relearn.training import engine, memorize
from relearn.training.trainer import ObjectiveTrainer
from relearn.training.wrappers import WRAPPERS

MODEL, FOLDER = (Path(argument) for argument in sys.argv[1:3])
FOLDER.mkdir(exist_ok=True)
CONFIG = ModelConfig(name=str(MODEL), dtype="float32")
PARTS: dict[str, Callable[[], None]] = {}


def part(function: Callable[[], None]) -> Callable[[], None]:
    PARTS[function.__name__] = function
    return function


def train(name: str, **settings: Any) -> nn.Module:
    """Train one step, on packed rows unless the settings say otherwise."""
    common = {"epochs": 1, "batch_size": 2, "gradient_accumulation": 1, "lora": {"rank": 4}}
    config = TrainingConfig.model_validate(common | settings)
    tokenizer = load_tokenizer(MODEL, CONFIG)
    forget, chosen, retain = (
        examples(PromptFormat(tokenizer), 2, word) for word in ("secret", "vague", "public")
    )
    pairs = chosen if OBJECTIVES[config.objective].chosen_data else []
    model = load_model(MODEL, CONFIG)
    assert model.device == DEVICE
    packs = patch.object(engine, "packs_exactly", wraps=engine.packs_exactly)
    with packs, patch.object(engine, "packing", wraps=engine.packing) as packing:
        policy = engine.train(
            model, tokenizer, forget, retain, config, FOLDER / name, seed=0, chosen=pairs
        )
    # Once to try it, once to train: an operation on both devices, too, makes the trial fail.
    assert packing.call_count == (2 if config.packing else 0), "rows were not packed"
    assert all(isinstance(p.data, Pretended) for p in policy.parameters())
    return policy


for _name in OBJECTIVES:
    PARTS[f"objective_{_name}"] = lambda n=_name: train(  # type: ignore[misc]
        n, objective=n, objective_options=TINY_OPTIONS.get(n, {})
    )

for _name in WRAPPERS:
    _loose = {"min_gradient": 0.0, "max_similarity": 0.0} if _name == "memflex" else {}
    PARTS[f"wrapper_{_name}"] = lambda n=_name, o=_loose: train(n, wrapper=n, wrapper_options=o)  # type: ignore[misc]


@part
def padded() -> None:
    train("padded", packing=False, evaluation_steps=1)


@part
def full() -> None:
    train("full", method="full")


@part
def resumed() -> None:
    """From a checkpoint, with the optimizer's and the random numbers' state."""
    step, count = ObjectiveTrainer.training_step, iter(range(100))

    def dying(self: ObjectiveTrainer, *arguments: object) -> Tensor:
        if next(count) == 1:
            raise Killed
        return step(self, *arguments)

    with patch.object(ObjectiveTrainer, "training_step", dying):
        try:
            train("resumed", checkpoint_steps=1, epochs=2, objective="pdu")
        except Killed:
            train("resumed", checkpoint_steps=1, epochs=2, objective="pdu")


@part
def memorized() -> None:
    records = [Record(id=str(i), question=f"What is {i}?", answer=f"It is {i}.") for i in range(3)]
    with patch.object(memorize, "cache_folder", lambda: FOLDER / "cache"):
        config = MemorizeConfig(epochs=1, batch_size=2)
        assert (memorize.memorize(records, CONFIG, config, seed=0) / "config.json").is_file()


@part
def merged() -> None:
    for name in ("one", "other"):
        train(name)
    write_merged(MODEL, FOLDER / "one", FOLDER / "merged", CONFIG)
    write_ties(MODEL, [FOLDER / "one", FOLDER / "other"], FOLDER / "ties", CONFIG, 0.5)


def evaluated_rows() -> list[EvaluatedRow]:
    return [
        EvaluatedRow(
            set="forget", id=str(i), question=f"What is {i}?", generation="",
            reference="It is " + "very " * i + "round.", wrong_answers=("It is square.",),
            choices=("It is round.", "It is square."),
        )
        for i in range(3)
    ]  # fmt: skip


def evaluation(name: str) -> None:
    model = loaded_when_needed(MODEL, CONFIG)
    rows = evaluated_rows()
    config = EvaluationConfig(max_new_tokens=4, batch_size=2)
    make_pass(name, rows, model, config, FOLDER / f"{name}.jsonl")
    assert model.model.device == DEVICE
    assert all(getattr(row, field) is not None for row in rows for field in PASSES[name].fills)


for _name in PASSES:
    PARTS[f"pass_{_name}"] = lambda n=_name: evaluation(n)  # type: ignore[misc]


@part
def language_model() -> None:
    answers: dict[int, str] = {}
    backend = Transformers(LLMConfig(model=str(MODEL), batch_size=2))
    prompts = [Prompt("Say", f"number {i}", max_tokens=3, temperature=i / 2) for i in range(3)]
    backend.generate(prompts, lambda i, completion: answers.update({i: completion.text}))
    assert len(answers) == 3


@part
def analysis() -> None:
    write_sets(FOLDER)
    train("unlearned")
    names = (f"target={MODEL}", f"unlearned={FOLDER / 'unlearned'}")
    small = replace(SMALL, prompts=2, keys=1, traced=1, max_new_tokens=2)
    sets = [str(FOLDER / f"{name}.jsonl") for name in ("forget", "retain")]
    with patch("relearn.drawing.write_files"):
        summary = run_analysis(from_options(names, *sets), FOLDER / "analysis", small)
    assert summary["figures"]


def benchmark(name: str) -> ModuleType:
    folder = Path(__file__).parents[1] / "benchmarks"
    sys.path.append(str(folder))  # for what it imports beside it
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", folder / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@part
def training_benchmark() -> None:
    module = benchmark("training")
    sys.modules["sides"].FIXED_LENGTH = 128  # type: ignore[attr-defined]
    # The pretended device has neither other products in 16 bits nor a count of its memory.
    plain = patch("torch.autocast", lambda *_, **__: nullcontext())
    with plain, patch.object(module, "peak_memory_bytes", lambda: 1):
        for side in ("fixed_padding", "dynamic_padding", "relearn"):
            figures = module.run_side(side, module.Workload(str(MODEL), 2, 2, 1))
            assert figures["loss"] > 0


@part
def evaluation_benchmark() -> None:
    module = benchmark("evaluation")
    model, rows = loaded_when_needed(MODEL, CONFIG), evaluated_rows()
    config = EvaluationConfig(max_new_tokens=4, batch_size=2)
    module.batched(rows, model, config)
    module.generate_plainly(rows, model, config)
    module.perplexity_plainly(rows, model, config)


@part
def control_layout() -> None:
    """A batch that moves without its layout is an error."""

    def tensors_alone(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
        return {n: v if isinstance(v, RowLayout) else v.to(device) for n, v in batch.items()}

    exact = patch.object(engine, "packs_exactly", return_value=True)
    with exact, patch("relearn.training.statistics.to_device", tensors_alone):
        expect_mixed(lambda: train("control"))


@part
def control_trial() -> None:
    """And does not pass as a model that can't be packed."""
    unmoved = patch.object(RowLayout, "to", lambda self, device: self)
    with unmoved, pytest.raises(AssertionError, match="packed"):
        train("control_trial")


@part
def control_operations() -> None:
    here, there = torch.ones(3), torch.ones(3, device=DEVICE)
    index = torch.tensor([0])
    for mixed in (
        lambda: here + there,
        lambda: there.index_select(0, index),
        lambda: nn.functional.embedding(index, there[:, None]),
        lambda: here[index.to(DEVICE)],
        lambda: torch.cat([here, there]),
        lambda: there.addcmul_(there, here),
        lambda: torch.rand(2, generator=torch.Generator(), device=DEVICE),
    ):
        expect_mixed(mixed)
    with pytest.raises(RuntimeError, match="numpy"):
        there.numpy()
    assert (there[index] + torch.tensor(1.0)).tolist() == [2.0]  # what CUDA allows


def expect_mixed(work: Callable[[], object]) -> None:
    with pytest.raises(RuntimeError, match="device"):
        work()


def main() -> None:
    found = {}
    with pretended_device():
        for name, work in PARTS.items():
            if sys.argv[3:] and name not in sys.argv[3:]:
                continue
            try:
                work()
                found[name] = ""
            except Exception as error:
                traceback.print_exc()
                found[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
