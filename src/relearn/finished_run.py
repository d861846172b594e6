"""A finished run in Python: its figures, its models, its report."""

import os
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns
from typing import cast

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from relearn.base.errors import UserError
from relearn.base.notebook import html_table
from relearn.base.storage import atomic_path, read_json, write_json, write_text
from relearn.base.workspace import InFolder, ResultFolder, check_unused
from relearn.config import UNLEARNED, RunConfig
from relearn.models.adapters import is_adapter
from relearn.models.gguf_export import GgufType, check_gguf, write_gguf
from relearn.models.loading import load_model, load_prompt_format, load_tokenizer
from relearn.models.merging import write_merged, write_ties
from relearn.models.modelfile import modelfile
from relearn.models.place import folders_of
from relearn.report import write_model_card, write_report
from relearn.report.model_card import base_model
from relearn.report.outcome import outcome
from relearn.report.results import RunResults, read_results
from relearn.report.verdict import judge
from relearn.run_folder import adapter_folder, check_finished, read_manifest, target_folder
from relearn.store.hub import HubRepository

AnyModel = PreTrainedModel | PeftModel


class FinishedRun(InFolder):
    """What a run folder says; nothing is computed, and models are loaded when they are asked for.

    Raises:
        UserError: the folder holds no finished run.
    """

    def __init__(self, folder: ResultFolder) -> None:
        check_finished(folder.path)
        super().__init__(folder)

    @cached_property
    def results(self) -> RunResults:
        """Everything: models with metrics, intervals and history, examples, new answers, audit."""
        return read_results(self.path)

    @property
    def config(self) -> RunConfig:
        """The run's whole configuration."""
        return self.results.config

    @property
    def metrics(self) -> dict[str, float]:
        """The unlearned model's figures, as `forget/kfr`."""
        return self.metrics_of(UNLEARNED)

    def metrics_of(self, model: str) -> dict[str, float]:
        """Return the figures of `target`, `unlearned` or a baseline.

        Raises:
            UserError: the run has no such model.
        """
        found = self.results.model(model)
        if found is None:
            known = ", ".join(each.key for each in self.results.models)
            raise UserError(f"{self.path} has no model {model!r}.", f"Known: {known}.")
        return dict(found.metrics)

    @property
    def verdict(self) -> str:
        """Whether it forgot, kept the rest and still speaks, in one sentence."""
        return judge(self.results).sentence

    @property
    def unanswered(self) -> list[str]:
        """Ids of the forget records that got no new answer, and so stay in the model."""
        return self.results.unanswered

    @cached_property
    def model(self) -> AnyModel:
        """The unlearned model, loaded: with its adapter on, unless it was trained as a whole."""
        return self.load()

    def load(self, trained: str = UNLEARNED) -> AnyModel:
        """Load `unlearned` or a baseline.

        Raises:
            UserError: the run has no such model, or its target is gone.
        """
        folder, adapter = folders_of(adapter_folder(self.path, trained), target_folder(self.path))
        model = load_model(folder, self.config.model)
        return (
            cast(AnyModel, PeftModel.from_pretrained(model, adapter).eval()) if adapter else model
        )

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        return load_tokenizer(target_folder(self.path), self.config.model)

    def report(self) -> Path:
        """Write the report, one HTML file, and return its path. It has private text in it."""
        return write_report(self.path)

    def save(self, output: str | os.PathLike[str], trained: str = UNLEARNED) -> Path:
        """Write what was trained, the adapter or the whole model, with tokenizer and model card.

        Args:
            output: An empty folder, or a new one.
            trained: `unlearned`, or a baseline.

        Raises:
            UserError: the folder is used, or the run has no such model.
        """
        source, folder = adapter_folder(self.path, trained), Path(output)
        check_unused(folder)
        with atomic_path(folder) as temporary:
            copytree(source, temporary, ignore=ignore_patterns("*.jsonl"))
            self.tokenizer.save_pretrained(temporary)
            write_model_card(self.path, temporary)
        return folder

    def merge(
        self,
        output: str | os.PathLike[str],
        trained: str = UNLEARNED,
        ties: Sequence[str] = (),
        density: float = 0.8,
    ) -> Path:
        """Write the unlearned model as a plain model folder, which loads without relearn.

        Args:
            output: An empty folder, or a new one.
            trained: `unlearned`, or a baseline.
            ties: Further trained models of the run, to be merged with it by TIES.
            density: Fraction of each change that TIES keeps, above 0 to 1.

        Raises:
            UserError: the folder is used, or the run has no such model.
        """
        adapters = [adapter_folder(self.path, name) for name in (trained, *ties)]
        folder, model, target = Path(output), self.config.model, target_folder(self.path)
        check_unused(folder)
        with atomic_path(folder) as temporary:
            if ties:
                write_ties(target, adapters, temporary, model, density)
            else:
                write_merged(target, adapters[0], temporary, model)
            write_model_card(self.path, temporary)
        return folder

    def export_gguf(
        self,
        output: str | os.PathLike[str],
        type_: str = "f16",
        trained: str = UNLEARNED,
        ties: Sequence[str] = (),
        density: float = 0.8,
    ) -> Path:
        """Write the unlearned model as a GGUF file, with an Ollama Modelfile and the model card.

        Args:
            output: An empty folder, or a new one.
            type_: Of the weights, `f16` or `q8_0`. Fewer bits may bring back what was unlearned:
                audit the file too.
            trained: As in `merge`.
            ties: As in `merge`.
            density: As in `merge`.

        Raises:
            UserError: the folder is used, the run has no such model, or the model is of a kind that
                relearn writes to no GGUF file.
        """
        folder, file = Path(output), f"model-{type_}.gguf"
        check_unused(folder)
        check_gguf(target_folder(self.path), type_)
        with tempfile.TemporaryDirectory(prefix="relearn-") as holder, atomic_path(folder) as made:
            merged = self.merge(Path(holder) / "merged", trained, ties, density)
            prompts = load_prompt_format(merged, self.config.model)
            made.mkdir()
            write_text(made / "Modelfile", modelfile(prompts, file))
            write_gguf(merged, made / file, cast(GgufType, type_))
            copy2(merged / "README.md", made)
        return folder

    def push_to_hub(
        self,
        repo_id: str,
        trained: str = UNLEARNED,
        *,
        merged: bool = True,
        private: bool | None = None,
        token: str | None = None,
    ) -> str:
        """Upload the model with its redacted card to a hub, and return where it is; never data.

        Args:
            repo_id: `org/name`; made if there is none.
            trained: `unlearned`, or a baseline.
            merged: The whole model; else its adapter alone, which needs its target on the hub.
            private: Whether a repository that is made is private; None means the hub's default.
            token: Of the hub; None means the one that is logged in.

        Raises:
            UserError: the run has no such model, the adapter's target is not a model on a hub, or
                the hub refuses or can't be reached; nothing is merged or uploaded in these cases.
        """
        alone = not merged and is_adapter(adapter_folder(self.path, trained))
        target = self._hub_target() if alone else None
        hub = HubRepository(repo_id, token)
        # First: a hub that refuses does so before a model is merged.
        place = hub.make(private)
        with tempfile.TemporaryDirectory(prefix="relearn-") as holder:
            folder = Path(holder) / "model"
            if merged:
                self.merge(folder, trained)
            else:
                self.save(folder, trained)
            if target:
                file = folder / "adapter_config.json"
                write_json(file, read_json(file) | {"base_model_name_or_path": target})
            hub.upload(folder)
        return place

    def _hub_target(self) -> str:
        """Return the name on the hub of the model that the run's adapters belong to."""
        model = read_manifest(self.path)["model"]
        name = base_model(self.results) if model["source"] == model["target"] else None
        if name is None:
            raise UserError("the adapter's target model is on no hub.", "Push the merged model.")
        return name

    def __repr__(self) -> str:
        return f"FinishedRun({str(self.path)!r}): {self.verdict}"

    def _repr_html_(self) -> str:
        found = outcome(self.results)
        return html_table(self.verdict, ["", *found.models], found.rows)


def load_run(path: str | os.PathLike[str]) -> FinishedRun:
    """Return the finished run in the folder `path`.

    Raises:
        UserError: there is none.
    """
    return FinishedRun(ResultFolder(path))
