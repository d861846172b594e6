"""Language models and tokenizers from a hub, a folder, a GGUF file or the package registry."""

import tempfile
from pathlib import Path

import torch
from filelock import FileLock
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from relearn.config import ModelConfig
from relearn.errors import UserError
from relearn.models.embedded import EMBEDDED, cache_folder, embedded_folder
from relearn.storage import atomic_path, content_hash


def convert_gguf(file: Path, folder: Path) -> None:
    """Write the GGUF model `file`, unpacked to bfloat16, as a transformers model to `folder`."""
    model = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
