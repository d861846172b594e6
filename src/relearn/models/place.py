"""Where a model is: a folder, or a LoRA adapter and the model that it belongs to."""

import re
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from relearn.base.errors import UserError
from relearn.base.storage import content_hash
from relearn.config import ModelConfig
from relearn.models.adapters import is_adapter, merge_adapter
from relearn.models.loading import load_model, model_folder
from relearn.models.precision import convert_to_native

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,40}")


@dataclass(frozen=True)
class ModelPlace:
    """A model that is loaded when it is needed.

    Attributes:
        name: Its name in tables, figures and files.
        folder: The model, or the model that the adapter belongs to.
        adapter: A LoRA adapter; None for a plain model.
    """

    name: str
    folder: Path
    adapter: Path | None = None

    def load(self, config: ModelConfig) -> PreTrainedModel:
        """Load the model for inference; see `load_for_inference`."""
        return load_for_inference(self.folder, config, self.adapter)

    def fingerprint(self) -> str:
        """Return a hash of the weights."""
        return content_hash(self.folder, *([self.adapter] if self.adapter else []))


def load_for_inference(
    folder: Path, config: ModelConfig, adapter: Path | None = None
) -> PreTrainedModel:
    """Load a model that will be asked, and neither trained nor saved.

    Its weights are those that would be exported. On a CPU that only emulates their type it computes
    in float32, three to nine times as fast; what rounded products change, the audit's attack
    `precision` measures.

    Args:
        folder: Of the model.
        config: How it is loaded.
        adapter: A LoRA adapter, which is merged; None for a plain model.

    Raises:
        UserError: the model or its adapter can't be loaded.
    """
    model = load_model(folder, config)
    # Loaded for training, a model on a CPU has the attention whose backward pass is faster.
    if getattr(model, "_supports_sdpa", False):
        model.set_attn_implementation("sdpa")
    if adapter:
        model = merge_adapter(model, adapter)
    convert_to_native(model)
    return model


def folders_of(trained: str | Path, target: Path) -> tuple[Path, Path | None]:
    """Return folder and adapter of what was trained: an adapter of the target, or a whole model.

    Args:
        trained: An adapter's folder, or whatever `--model` takes.
        target: The model that an adapter belongs to.

    Raises:
        UserError: there is no such model.
    """
    if is_adapter(Path(trained)):
        return target, Path(trained)
    return (trained if isinstance(trained, Path) else model_folder(trained)), None


def named_path(option: str, flag: str) -> tuple[str, str]:
    """Split what the command line gives as `NAME=PATH`.

    Args:
        option: The value.
        flag: The option's name, for the message.

    Raises:
        UserError: it is not of that form.
    """
    name, _, path = option.partition("=")
    if not path or not _NAME.fullmatch(name):
        raise UserError(
            f"{flag} {option!r} is not NAME=PATH.", "A name has letters, digits, _ . and -."
        )
    return name, path
