"""The analysis of two or more models, part by part."""

import gc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

import relearn
from relearn.analysis import weights
from relearn.analysis.components import Components, SubjectAttention
from relearn.analysis.distribution import Distribution, Reference
from relearn.analysis.free_answers import free_answers
from relearn.analysis.inputs import AnalysisInputs, ModelSource
from relearn.analysis.layout import Layout, find_layout
from relearn.analysis.memory import LogitLens, States
from relearn.analysis.observe import Observer, Tables, joined, joined_tables, observe
from relearn.analysis.parts import Parts
from relearn.analysis.probes import (
    Batch,
    Probe,
    batches,
    by_length,
    make_probes,
    shortened,
    with_keys,
)
from relearn.analysis.tracing import (
    activation_patching,
    attribution_patching,
    edges,
    subject_saliency,
    trace,
)
from relearn.base.distributed import by_leader, shared_out
from relearn.base.errors import UserError
from relearn.base.storage import content_hash
from relearn.data.batching import to_device
from relearn.data.records import dumped, spread
from relearn.data.tokenization import PromptFormat, check_lengths
from relearn.models.loading import load_config_of, load_prompt_format, position_limit

OBSERVED = ("distribution", "lens", "states", "components")


@dataclass(frozen=True)
class AnalysisSettings:
    """How much is looked at.

    Attributes:
        prompts: Questions of each set, evenly spread over it.
        keys: Tokens of each answer that are looked at closely, at most.
        traced: Forget questions that are traced and patched, which takes backward passes.
        rows: Questions of one forward pass; bounds the memory.
        max_new_tokens: Longest free answer, in tokens.
        max_length: Longest question with its answer, in tokens.
    """

    prompts: int = 24
    keys: int = 2
    traced: int = 6
    rows: int = 8
    max_new_tokens: int = 48
    max_length: int = 1024


def analyze(inputs: AnalysisInputs, output: Path, settings: AnalysisSettings) -> Tables:
    """Compute every part that is not there yet; several processes share the batches of each.

    Args:
        inputs: Models and sets.
        output: Folder of the analysis; tables, and parts to resume from.
        settings: How much is looked at.

    Returns:
        Every table, of all models, with the column `model` first.

    Raises:
        UserError: a model can't be loaded or has an unusual layout, the models' vocabularies
            differ, or the folder is used for something else.
    """
    request = {
        "relearn": relearn.__version__,
        "settings": asdict(settings),
        "models": {m.name: m.fingerprint() for m in inputs.models},
        "sets": {name: content_hash(dumped(records)) for name, records in inputs.sets.items()},
        "model_config": inputs.config.model_dump(mode="json"),
    }
    with Parts(output, request) as parts:
        job = _Analysis(inputs, settings, parts)
        tables = job.tables()

        def finish() -> None:
            for name, frame in tables.items():
                frame.to_parquet(output / f"{name}.parquet", index=False)
            job.drop_references()

        by_leader(finish)
    return tables


class _Analysis:
    """The parts of one analysis; a model is in memory only while a part of it is computed."""

    def __init__(self, inputs: AnalysisInputs, settings: AnalysisSettings, parts: Parts) -> None:
        self.inputs = inputs
        self.settings = settings
        self.parts = parts
        self.references = parts.work / "references"
        self._loaded: tuple[str, PreTrainedModel, Layout] | None = None

    @cached_property
    def prompt_format(self) -> PromptFormat:
        """The target's tokenizer and template, with which every model is asked."""
        return load_prompt_format(self.inputs.models[0].folder, self.inputs.config)

    @property
    def _pad(self) -> int:
        return int(self.prompt_format.tokenizer.pad_token_id)

    @cached_property
    def unkeyed(self) -> list[Probe]:
        """The probes of all sets, those of like length side by side, without keys."""
        probes = []
        for name, records in self.inputs.sets.items():
            chosen = spread(records, self.settings.prompts)
            probes += make_probes(chosen, name, self.prompt_format)
        target = load_config_of(self.inputs.models[0].folder, self.inputs.config)
        examples, ids = [p.example for p in probes], [p.id for p in probes]
        check_lengths(examples, ids, self.settings.max_length, position_limit(target))
        return by_length(probes)

    @cached_property
    def probes(self) -> list[Probe]:
        """The probes with their keys; needs the reference passes of target and base."""
        log_probs = [self._token_log_probs(source) for source in self._reference_models()]
        knows, does_not = log_probs[0], log_probs[1] if len(log_probs) > 1 else None
        return [
            with_keys(p, knows[i], does_not[i] if does_not else None, self.settings.keys)
            for i, p in enumerate(self.unkeyed)
        ]

    @cached_property
    def traced(self) -> list[Probe]:
        """A few forget probes, cut behind their first key."""
        forget = [p for p in self.probes if p.set == "forget"]
        return by_length([shortened(p) for p in spread(forget, self.settings.traced)])

    def tables(self) -> Tables:
        """Return all tables of all models."""
        collected: dict[str, list[pd.DataFrame]] = {}
        for source in self.inputs.models:
            for name, frame in self._of_model(source).items():
                frame.insert(0, "model", source.name)
                collected.setdefault(name, []).append(frame)
            self._unload()
        tables = {name: joined(frames) for name, frames in collected.items()}
        tables["tokens"] = _with_target_rank(tables["tokens"], self.inputs.models[0].name)
        return tables

    def _of_model(self, source: ModelSource) -> Tables:
        tables: Tables = {}
        missing = [name for name in OBSERVED if not self.parts.has(f"{source.name}/{name}")]
        if missing:
            self._observe(source, missing)
        for name in OBSERVED:
            tables |= self.parts.make(f"{source.name}/{name}", _never)
        tables |= self.parts.make(f"{source.name}/language", lambda _: self._language(source))
        tables |= self.parts.make(f"{source.name}/circuits", lambda at: self._trace(source, at))
        return tables | self.parts.make(f"{source.name}/weights", lambda _: self._weights(source))

    def _reference_models(self) -> Sequence[ModelSource]:
        return self.inputs.models[: 2 if self.inputs.has_base else 1]

    def _token_log_probs(self, source: ModelSource) -> list[Tensor]:
        """Return each answer token's log-probability; writes the model's `Reference`."""

        def compute(folder: Path) -> Tables:
            writer = Reference(folder)
            layout = self._layout(source)
            self._pass(layout, self.unkeyed, [writer], f"what {source.name} expects")
            return writer.tables()

        part = self.parts.make(f"references/{source.name}", compute)
        values = torch.tensor(part["tokens"]["log_prob"].to_numpy())
        return list(values.split([len(p.example.answer) for p in self.unkeyed]))

    def _reference(self, source: ModelSource) -> Reference:
        return Reference(self.references / source.name)

    def _observe(self, source: ModelSource, missing: Sequence[str]) -> None:
        """Let the observers whose parts are missing watch one pass, and write their parts."""
        probes = self.probes
        layout = self._layout(source)
        observers = {name: self._observers(name, layout, source) for name in missing}
        watching = [observer for several in observers.values() for observer in several]
        self._pass(layout, probes, watching, f"looking into {source.name}")
        for name, several in observers.items():

            def write(folder: Path, several: Sequence[Observer] = several) -> Tables:
                for observer in several:
                    if isinstance(observer, States) and source is self.inputs.models[0]:
                        states = {"states": observer.states}
                        by_leader(partial(save_file, states, folder / "states.safetensors"))
                return {k: t for observer in several for k, t in observer.tables().items()}

            self.parts.make(f"{source.name}/{name}", write)

    def _observers(self, name: str, layout: Layout, source: ModelSource) -> list[Observer]:
        target = self.inputs.models[0]
        if name == "distribution":
            references = [self._reference(each) for each in self._reference_models()]
            decode = self.prompt_format.tokenizer.decode
            base = references[1] if len(references) > 1 else None
            return [Distribution(references[0], base, decode)]
        if name == "lens":
            return [LogitLens(layout)]
        if name == "states":
            file = self.parts.work / target.name / "states" / "states.safetensors"
            states = None if source is target else load_file(file)["states"]
            if states is not None and len(states) != len(layout.blocks) + 1:
                raise UserError(
                    f"model {source.name} has {len(layout.blocks)} layers, {target.name} has "
                    f"{len(states) - 1}.",
                    "Compare models of one architecture.",
                )
            return [States(layout, states)]
        return [Components(layout), SubjectAttention(layout)]

    def _language(self, source: ModelSource) -> Tables:
        return free_answers(
            self._layout(source).model,
            self.prompt_format,
            self.unkeyed,
            # A step of generation holds one token of each row, and a pass of theirs all.
            rows=2 * self.settings.rows,
            max_new_tokens=self.settings.max_new_tokens,
            title=f"answers of {source.name}",
        )

    def _trace(self, source: ModelSource, folder: Path) -> Tables:
        """Trace the model, and patch it with the target's activations, which are kept for that."""
        target = self.inputs.models[0]
        layout = self._layout(source)
        model, precision = layout.model, layout.model.dtype
        kept = folder if source is target else self.parts.work / target.name / "circuits"

        def file(batch: Batch) -> Path:
            return kept / f"activations.{batch.number}.safetensors"

        def theirs(batch: Batch) -> dict[str, Tensor]:
            return to_device(load_file(file(batch)), model.device)

        def traced(batch: Batch) -> Tables:
            found = trace(layout, batch)
            tables = {
                "edges": edges(layout, batch, found),
                "saliency": subject_saliency(batch, found),
            }
            if source is target:
                save_file(found.activations | {"log_probs": found.log_probs}, file(batch))
            else:
                tables["attribution"] = attribution_patching(layout, batch, found, theirs(batch))
            return tables

        def patched(batch: Batch) -> Tables:
            before = theirs(batch)
            log_probs = before.pop("log_probs").cpu()
            return {"patching": activation_patching(layout, batch, before, log_probs)}

        # One question at a time: there are few, which the processes share.
        several = list(batches(self.traced, 1, self._pad, model.device))
        if model.device.type == "cpu":
            model.float()  # half precision has no fast backward pass there
        found = shared_out(traced, several)
        model.to(precision)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
        if source is not target:
            found += shared_out(patched, several)
        return joined_tables(found)

    def _weights(self, source: ModelSource) -> Tables:
        """Compare the weights with the target's; those of the target with the base's."""
        target = self.inputs.models[0]
        if source.adapter is not None:
            return {"weights": weights.adapter_changes(source.folder, source.adapter)}
        if source.reverse is not None:
            return {"weights": weights.full_changes(target.folder, source.folder)}
        if source is not target:  # the base; its distance is told of the target
            return {}
        if self.inputs.has_base:
            return {"weights": weights.full_changes(self.inputs.models[1].folder, target.folder)}
        return {}

    def _pass(
        self, layout: Layout, probes: Sequence[Probe], observers: Sequence[Observer], title: str
    ) -> None:
        observe(
            layout, probes, observers,
            rows=self.settings.rows, pad_token_id=self._pad, title=title,
        )  # fmt: skip

    def _layout(self, source: ModelSource) -> Layout:
        """Load the model unless it is the one in memory."""
        if self._loaded is None or self._loaded[0] != source.name:
            self._unload()
            model = source.load(self.inputs.config)
            layout = find_layout(model)
            if layout.head.weight.shape[0] < len(self.prompt_format.tokenizer):
                raise UserError(
                    f"model {source.name} has a smaller vocabulary than the target.",
                    "Compare models of one tokenizer.",
                )
            self._loaded = (source.name, model, layout)
        return self._loaded[2]

    def _unload(self) -> None:
        self._loaded = None
        gc.collect()

    def drop_references(self) -> None:
        """Delete what the models were compared with: large, private, and not needed again."""
        for pattern in ("references/*/*.npy", "*/*/*.safetensors"):
            for file in self.parts.work.glob(pattern):
                file.unlink()


def _with_target_rank(tokens: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the rows with the rank that the target gave to the same token, `target_rank`."""
    place = ["set", "id", "place"]
    ranks = tokens[tokens["model"] == target][[*place, "rank"]]
    return tokens.merge(ranks.rename(columns={"rank": "target_rank"}), on=place, validate="m:1")


def _never(_: Path) -> Tables:
    raise AssertionError("the part was to be there")
