"""A model as the user has it: its name or folder, or in Python the model itself."""

import os
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import cast

from peft import PeftModel
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from relearn.base.errors import UserError
from relearn.base.private import private_files
from relearn.base.storage import content_hash, disk_errors
from relearn.config import ModelConfig
from relearn.models.adapters import adapted, merged_policy
from relearn.models.loading import load_model, model_folder

GivenModel = str | os.PathLike[str] | PreTrainedModel | PeftModel
"""What `model_folder` takes, or a model in memory, with peft's adapters on it or not."""


@private_files()
def given_name(model: GivenModel, tokenizer: PreTrainedTokenizerBase | None, folder: Path) -> str:
    """Return a name by which the model can be loaded; one in memory is written to `folder` first.

    The model in memory stays as it is. In what is written, adapters are merged.

    Args:
        model: Name, path or model.
        tokenizer: None means the one that belongs to the model.
        folder: Where to; it may hold the same model already.

    Raises:
        UserError: there is no tokenizer, the weights can't be written as they are, or the folder
            holds another model.
    """
    if isinstance(model, str | os.PathLike):
        if tokenizer is None:
            return os.fspath(model)
        model = load_model(model_folder(os.fspath(model)), ModelConfig())
    tokenizer = tokenizer or tokenizer_of(model)
    plain = _plain(model)
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".model.", dir=folder.parent) as holder:
            written = Path(holder) / folder.name
            plain.save_pretrained(written)
            tokenizer.save_pretrained(written)
            if not folder.exists():
                written.rename(folder)
            elif content_hash(written) != content_hash(folder):
                raise UserError(f"{folder} holds another model.", "Choose another output folder.")
    return str(folder)


def tokenizer_of(model: PreTrainedModel | PeftModel) -> PreTrainedTokenizerBase:
    """Load the tokenizer from where a model in memory was loaded from.

    Raises:
        UserError: there is none.
    """
    name = adapted(model).name_or_path
    try:
        return cast(PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(name))
    except Exception as error:  # missing and damaged files fail in many ways
        raise UserError(
            "the model was given without its tokenizer, and none was found where it comes from.",
            "Give the tokenizer too.",
        ) from error


def _plain(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Return the model with its adapters in its weights; a copy, if it has any."""
    base = adapted(model)
    if getattr(base, "is_quantized", False):
        raise UserError(
            "the model's weights are quantized, and would be written so.",
            "Give the model's name, and method='qlora'.",
        )
    if not isinstance(model, PeftModel):
        if getattr(model, "_hf_peft_config_loaded", False):
            raise UserError(
                "the model has adapters that were added without a PeftModel.",
                "Load them with peft.PeftModel.from_pretrained(model, folder).",
            )
        return model
    try:
        return merged_policy(deepcopy(model))
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the model's adapter can't be merged into its weights: {reason}.",
            "Give a model without it.",
        ) from error
