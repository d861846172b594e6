"""Merging an adapter into a plain model folder."""

from pathlib import Path

from relearn.config import ModelConfig
from relearn.models.adapters import merge_adapter
from relearn.models.loading import load_model, load_tokenizer


def write_merged(model_folder: Path, adapter: Path, folder: Path, config: ModelConfig) -> None:
    """Write model plus adapter to `folder`, which transformers then loads with no relearn.

    Args:
        model_folder: The model that the adapter was trained on.
        adapter: The adapter's folder.
        folder: Where to; made by this function.
        config: How the model is loaded.
    """
    merge_adapter(load_model(model_folder, config), adapter).save_pretrained(folder)
    load_tokenizer(model_folder, config).save_pretrained(folder)
